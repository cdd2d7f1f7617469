export type { StoredTensor } from './container.js';
export { castTensor } from './dtype/cast-tensor.js';
export { encodeFloats } from './dtype/convert.js';
export { dequantise } from './dtype/dequantise.js';
export { holdsNonFinite, wordsOf } from './dtype/non-finite.js';
export { isWrittenQuant, quantise, type WrittenQuantDType } from './dtype/quantise.js';
export { dtypeOf } from './dtype/names.js';
export {
  AdapterError,
  type FileLocation,
  WeightDTypeError,
  WeightFileError,
  WeightNamesError,
  WeightShapeError,
  WeightSourceError,
} from './errors.js';
export { type GgufLoraType, ggufLora, ggufLoraTypes } from './gguf/lora-file.js';
export { type GgufModelOptions, type GgufPieces, type GgufQuant, ggufModel, ggufQuants } from './gguf/model-file.js';
export { type GgufFile, openGguf } from './gguf/read.js';
export { encodeGguf } from './gguf/write.js';
export type { JsonValue } from './json-value.js';
export {
  type ExportBase,
  type HfFolder,
  type HfFolderOptions,
  type HfModelFiles,
  hfModelFiles,
  hfModelFolder,
} from './layout/export.js';
export { type ModelWeightLoaderOptions, modelWeightLoader } from './loader/model-weight-loader.js';
export { formatLoadReport, type LoadReport } from './loader/report.js';
export type {
  LoadOptions,
  OpenedWeights,
  WeightEntry,
  WeightLoader,
  WeightSink,
  WeightTarget,
} from './loader/types.js';
export { openNpz } from './npz/open.js';
export type { NpzFile } from './npz/read.js';
export type { BaseWeights } from './peft/base-weights.js';
export { type MergedAdapter, mergedTensors } from './peft/merge.js';
export { type AdapterLoader, peftAdapterLoader, readPeftAdapter } from './peft/open.js';
export type { PeftAdapter } from './peft/read.js';
export { checkPeftNames } from './peft/modules.js';
export { type PeftAdapterOptions, type PeftFiles, peftAdapterFiles } from './peft/write.js';
export * from './registry.js';
export { openSafetensors, type SafetensorsFile } from './safetensors/read.js';
export { encodeSafetensors, safetensorsToBytes, type TensorData } from './safetensors/write.js';
export { blobSource, bufferSource, type ByteSource } from './source/byte-source.js';
export { type DownloadOptions, type HttpOptions, fetchBytes, httpSource } from './source/http.js';
export type { HubOptions } from './source/hub.js';
export { type HubDataset, openHubDataset } from './source/hub-dataset.js';
export {
  hubIdOf,
  type ModelLocation,
  type ModelSource,
  type ModelSourceOptions,
  openModelSource,
} from './source/model-source.js';
export { withoutSecrets } from './source/secrets.js';
export { type CachedWeights, listCachedWeights, removeCachedWeights } from './source/weight-cache.js';
