export type { GemmaConfig, GemmaFamily, LayerType } from './config.js';
export { ConfigError, UnknownModelError } from './config-errors.js';
export { gemmaConfigFromGguf } from './config-gguf.js';
export { gemmaConfigFromHf, gemmaConfigToHf } from './config-hf.js';
export { gemmaParamSpecs, type ParamSpec } from './param-specs.js';
export { type GemmaPresetName, gemmaPresets } from './presets.js';
export { ContextLengthError, Generator, greedy, type GenerateOptions } from './generate.js';
export { gemmaLoraSpecs, initialLora, loraScale, type LoraOptions, type LoraSpec } from './lora.js';
export {
  gemmaHidden,
  gemmaLogits,
  gemmaLoss,
  type GemmaInputs,
  type GemmaLayerParams,
  type GemmaOptions,
  type GemmaParams,
  type GemmaTargets,
  type KvCache,
  type NormParams,
} from './model.js';
export { paramTree, planVariables, type ParamPlan } from './variables.js';
export {
  ChatTemplateError,
  encodeChat,
  gemmaChatTemplate,
  renderChat,
  type ChatMessage,
} from './text/chat-template.js';
export { createRandom, sampleToken, type SamplingOptions } from './text/sampling.js';
export { createTextStream, TokenizerError, tokenizerFromJson, type Tokenizer } from './text/tokenizer.js';
export { tokenizerFromGguf } from './text/tokenizer-gguf.js';
