// Configurations
export { ConfigError, UnknownModelError } from './config/errors.js';
export type { GemmaConfig, GemmaFamily, LayerType } from './config/gemma-config.js';
export { gemmaConfigFromGguf } from './config/gemma-from-gguf.js';
export { gemmaConfigFromHf, gemmaConfigToHf } from './config/gemma-hf.js';
export { checkPaliGemmaConfig } from './config/paligemma-config.js';
export { paliGemmaConfigFromHf, paliGemmaConfigToHf } from './config/paligemma-hf.js';
export {
  gemmaPresets,
  type GemmaPresetName,
  modelPresets,
  type ModelPresetName,
  paliGemmaPresets,
  type PaliGemmaPresetName,
} from './config/presets.js';

// Models
export {
  gemmaHidden,
  gemmaLogits,
  type GemmaInputs,
  type GemmaLayerParams,
  type GemmaOptions,
  type GemmaParams,
  type KvCache,
  type NormParams,
} from './models/gemma.js';
export { gemmaParamSpecs, type ParamSpec } from './models/gemma-param-specs.js';
export { initialParam } from './models/initial-param.js';
export { initialLora, loraScale, loraSpecs, type LoraOptions, type LoraSpec } from './models/lora.js';
export {
  type ModelConfig,
  modelHidden,
  type ModelInputs,
  modelLoss,
  type ModelParams,
  modelParamSpecs,
  type ModelTargets,
  textConfigOf,
  textParamsOf,
  textPrefixOf,
  visionConfigOf,
} from './models/model.js';
export {
  paliGemmaHidden,
  paliGemmaImageFeatures,
  type PaliGemmaConfig,
  type PaliGemmaInputs,
  type PaliGemmaParams,
} from './models/paligemma.js';
export { paliGemmaParamSpecs } from './models/paligemma-param-specs.js';
export {
  patchCount,
  siglipHidden,
  type LayerNormParams,
  type SiglipConfig,
  type SiglipLayerParams,
  type SiglipOptions,
  type SiglipParams,
} from './models/siglip.js';
export { paramTree, planVariables, type ParamPlan } from './models/variables.js';

// Generation
export {
  ContextLengthError,
  Generator,
  greedy,
  PromptImagesError,
  type GenerateOptions,
  type ModelPrompt,
  type PromptSize,
} from './generate.js';

// Text
export {
  ChatTemplateError,
  encodeChat,
  gemmaChatTemplate,
  renderChat,
  type ChatMessage,
} from './text/chat-template.js';
export { paliGemmaPrompt } from './text/paligemma-prompt.js';
export { createRandom, sampleToken, type SamplingOptions } from './text/sampling.js';
export { createTextStream, TokenizerError, tokenizerFromJson, type Tokenizer } from './text/tokenizer.js';
export { tokenizerFromGguf } from './text/tokenizer-gguf.js';
export { tokenizerFromSentencePiece } from './text/tokenizer-sentencepiece.js';

// Images
export { boxesToSvg, type BoxesToSvgOptions } from './image/boxes-to-svg.js';
export { decodeImage, type DecodeImageOptions } from './image/decode-image.js';
export { DetectionLabelError, type DetectedBox, type MalformedDetection } from './image/detection-tokens.js';
export { drawBoxes, type BoxToDraw, type DrawBoxesOptions } from './image/draw-boxes.js';
export { ImageError, type ImageProblem } from './image/image-error.js';
export { labelColour, type Colour } from './image/label-colour.js';
export { formatBoxes, parseBoxes, type ParsedBoxes } from './image/location-tokens.js';
export { decodeMask, MaskDecoderWeightError, type MaskDecoderWeights } from './image/mask-decoder.js';
export { patchify } from './image/patchify.js';
export { preprocessImage, type ImagePreset, type PreprocessImageOptions } from './image/preprocess-image.js';
export { resizeImage, type ResizeMethod, type ResizeOptions } from './image/resize-image.js';
export type { FloatImage, RgbImage } from './image/rgb-image.js';
export {
  formatSegments,
  parseSegments,
  type DetectedSegment,
  type ParsedSegments,
} from './image/segmentation-tokens.js';
