// What a model is, for programs that know no family: no forward pass comes with it.
export { ArrayShapesError, ConfigError, EmbeddingModelError, UnknownModelError } from './config/errors.js';
export { parseJson, showValue } from './config/json.js';
export type * from './families/family.js';
export * from './families/find-family.js';
export type { GgufMetadata, GgufValue } from './families/gguf-value.js';
export {
  withoutPrefixes,
  type HfConfig,
  type HfFiles,
  type Layout,
  type LayoutRule,
  type PythonClass,
} from './families/layout.js';
export { hostParamOf, plannedHostRows, type HostRows, type HostRowsType } from './models/host-rows.js';
export { linearOf, type LoraUpdate } from './models/lora.js';
