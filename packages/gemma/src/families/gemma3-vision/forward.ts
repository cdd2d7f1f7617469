import { matmul, mean, reshape, rmsNorm, type Tensor } from '@lapidary/tensor';
import { placePictures } from '../../models/place-pictures.js';
import type { ForwardOptions, ModelInputs } from '../family.js';
import { gemmaDecode, gemmaEmbed } from '../gemma/forward.js';
import { siglipHidden } from '../siglip/forward.js';
import { type Gemma3VisionConfig, sidesOf } from './config.js';
import type { Gemma3VisionParams } from './params.js';

// Gemma 3 with pictures (arXiv:2503.19786), as transformers computes it: SigLIP's features, pooled to fewer, stand anywhere among the text.

/**
 * Pictures as they enter the decoder, f32 [I, tokensPerImage, d], of patches f32 [I, N, 3·p·p]. They are not scaled as text embeddings are.
 */
export function gemma3ImageFeatures(
  { vision, projector }: Pick<Gemma3VisionParams, 'vision' | 'projector'>,
  config: Gemma3VisionConfig,
  patches: Tensor,
  options: ForwardOptions = {},
): Tensor {
  const hidden = siglipHidden(vision, config.vision, patches, { ...options, firstBlock: config.text.numLayers });
  const [images, , width] = hidden.shape as [number, number, number];
  const { patches: side, tokens } = sidesOf(config);
  const pool = side / tokens;
  const columns = mean(reshape(hidden, [images * side * tokens, pool, width]), 1);
  const pooled = mean(reshape(columns, [images * tokens, pool, tokens * width]), 1);
  const norm = { eps: config.vision.layerNormEps, weightOffset: 1 };
  const normed = rmsNorm(reshape(pooled, [images, tokens * tokens, width]), projector.norm.weight, norm);
  return matmul(normed, projector.weight);
}

/** The residual stream after the last norm, f32 [B, T, d], and the caches with the new keys and values in them. */
export function gemma3VisionHidden(
  params: Gemma3VisionParams,
  config: Gemma3VisionConfig,
  { inputIds, tokenInfo, patches, pictureRows }: ModelInputs,
  options: ForwardOptions = {},
): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] } {
  const text = gemmaEmbed(params, config.text, inputIds, options);
  const embedded =
    patches && pictureRows
      ? placePictures(text, gemma3ImageFeatures(params, config, patches, options), pictureRows)
      : text;
  return gemmaDecode(params, config.text, embedded, tokenInfo, options, true);
}
