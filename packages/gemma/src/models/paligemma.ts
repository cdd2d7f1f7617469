import { concat, linear, reshape, type LinearParams, type Tensor } from '@lapidary/tensor';
import type { GemmaConfig } from '../config/gemma-config.js';
import { gemmaDecode, gemmaEmbed, type GemmaInputs, type GemmaOptions, type GemmaParams } from './gemma.js';
import { patchCount, siglipHidden, type SiglipConfig, type SiglipParams } from './siglip.js';

// PaliGemma 1 and 2 (Beyer et al. 2024, arXiv:2407.07726; Steiner et al. 2024, arXiv:2412.03555), as big_vision and transformers
// compute them: images as seen by SigLIP, projected to the decoder's width, stand before the text.

/** A SigLIP tower and a Gemma 1 or 2 decoder. */
export interface PaliGemmaConfig {
  readonly family: 'paligemma';
  readonly vision: SiglipConfig;
  readonly text: GemmaConfig;
  /** What stands for a patch in a list of token ids; its embedding is never used. */
  readonly imageTokenId: number;
}

export interface PaliGemmaParams {
  readonly vision: SiglipParams;
  /** [d, W] and [d]. */
  readonly projector: LinearParams;
  readonly language: GemmaParams;
}

export interface PaliGemmaInputs extends GemmaInputs {
  /** i32 [B, T]: the text alone; the images' tokens come before it. */
  readonly inputIds: Tensor;
  /** i32 [B, I·N + T, 4]: records of the images' tokens and the text's; see `attention` of @lapidary/tensor. */
  readonly tokenInfo: Tensor;
  /** f32 [B, I·N, 3·p·p]: patches of I images a row. Left out: the images were seen before (generation). */
  readonly patches?: Tensor;
}

/** Image features as they enter the decoder, f32 [B, I·N, d]. They are not scaled as text embeddings are. */
export function paliGemmaImageFeatures(
  { vision, projector }: Pick<PaliGemmaParams, 'vision' | 'projector'>,
  config: PaliGemmaConfig,
  patches: Tensor,
  options: GemmaOptions = {},
): Tensor {
  const [batch, total, values] = patches.shape as [number, number, number];
  const images = reshape(patches, [-1, patchCount(config.vision), values]);
  const features = siglipHidden(vision, config.vision, images, { ...options, firstBlock: config.text.numLayers });
  return reshape(linear(features, projector), [batch, total, config.text.hiddenSize]);
}

/** The residual stream after the last norm, f32 [B, I·N + T, d], and the caches with the new keys and values in them. */
export function paliGemmaHidden(
  params: PaliGemmaParams,
  config: PaliGemmaConfig,
  { inputIds, tokenInfo, patches }: PaliGemmaInputs,
  options: GemmaOptions = {},
): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] } {
  const text = gemmaEmbed(params.language, config.text, inputIds, options);
  const embedded = patches ? concat([paliGemmaImageFeatures(params, config, patches, options), text], 1) : text;
  return gemmaDecode(params.language, config.text, embedded, tokenInfo, options);
}
