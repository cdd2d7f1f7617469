export * from './registry.js';

// What families offer by themselves.
export type { GemmaConfig, GemmaFamily, LayerType } from './gemma/config.js';
export { gemma1, gemma2, gemma3 } from './gemma/family.js';
export { gemmaHidden, gemmaLogits } from './gemma/forward.js';
export { gemmaConfigFromGguf } from './gemma/gguf.js';
export { gemmaConfigFromHf, gemmaConfigToHf } from './gemma/hf.js';
export { gemmaParamSpecs, type GemmaLayerParams, type GemmaParams, type NormParams } from './gemma/params.js';
export { gemmaPresets, type GemmaPresetName } from './gemma/presets.js';
export { gemmaChatTemplate } from './gemma/prompt.js';
export { checkPaliGemmaConfig, type PaliGemmaConfig } from './paligemma/config.js';
export { paligemma } from './paligemma/family.js';
export { paliGemmaHidden, paliGemmaImageFeatures } from './paligemma/forward.js';
export { paliGemmaConfigFromHf, paliGemmaConfigToHf } from './paligemma/hf.js';
export { paliGemmaConfigFromBigVision } from './paligemma/npz.js';
export { decodeMask, MaskDecoderWeightError, type MaskDecoderWeights } from './paligemma/mask-decoder.js';
export { paliGemmaParamSpecs, type PaliGemmaParams } from './paligemma/params.js';
export { paliGemmaPresets, type PaliGemmaPresetName } from './paligemma/presets.js';
export { paliGemmaPrompt } from './paligemma/prompt.js';
export { patchCount, type SiglipConfig } from './siglip/config.js';
export { siglipHidden, type SiglipOptions } from './siglip/forward.js';
export { preprocessImage, type PreprocessImageOptions } from './siglip/preprocess-image.js';
export type { LayerNormParams, SiglipLayerParams, SiglipParams } from './siglip/params.js';
