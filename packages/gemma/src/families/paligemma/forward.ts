import type { Tensor } from '@lapidary/tensor';
import { placePictures } from '../../models/place-pictures.js';
import { createProjection } from '../../models/projection.js';
import type { ForwardOptions, ModelInputs } from '../family.js';
import { gemmaDecode, gemmaEmbed } from '../gemma/forward.js';
import { siglipHidden } from '../siglip/forward.js';
import type { PaliGemmaConfig } from './config.js';
import type { PaliGemmaParams } from './params.js';

// PaliGemma 1 and 2 (Beyer et al. 2024, arXiv:2407.07726; Steiner et al. 2024, arXiv:2412.03555), as big_vision and transformers
// compute them: images as seen by SigLIP, projected to the decoder's width, stand before the text.

/** Image features as they enter the decoder, f32 [I, N, d], of patches f32 [I, N, 3·p·p]. They are not scaled as text embeddings are. */
export function paliGemmaImageFeatures(
  { vision, projector }: Pick<PaliGemmaParams, 'vision' | 'projector'>,
  config: PaliGemmaConfig,
  patches: Tensor,
  options: ForwardOptions = {},
): Tensor {
  const features = siglipHidden(vision, config.vision, patches, { ...options, firstBlock: config.text.numLayers });
  return createProjection(options, config.text.numLayers + config.vision.numLayers)(features, projector, 0);
}

/** The residual stream after the last norm, f32 [B, T, d], and the caches with the new keys and values in them. */
export function paliGemmaHidden(
  params: PaliGemmaParams,
  config: PaliGemmaConfig,
  { inputIds, tokenInfo, patches, pictureRows }: ModelInputs,
  options: ForwardOptions = {},
): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] } {
  const text = gemmaEmbed(params.language, config.text, inputIds, options);
  const embedded =
    patches && pictureRows
      ? placePictures(text, paliGemmaImageFeatures(params, config, patches, options), pictureRows)
      : text;
  return gemmaDecode(params.language, config.text, embedded, tokenInfo, options);
}
