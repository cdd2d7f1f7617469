import type { LinearParams } from '@lapidary/tensor';
import type { ParamSpec } from '../family.js';
import { gemmaLinears, gemmaParamSpecs, gemmaTowers, type GemmaParams } from '../gemma/params.js';
import { linearWithBias, siglipLinears, siglipParamSpecs, type SiglipParams } from '../siglip/params.js';
import type { PaliGemmaConfig } from './config.js';

/** A model's parameters, as `paliGemmaHidden` takes them: `paramTree<PaliGemmaParams>(variables)`. */
export interface PaliGemmaParams {
  readonly vision: SiglipParams;
  /** [d, W] and [d]. */
  readonly projector: LinearParams;
  readonly language: GemmaParams;
}

/** Last names of all linears: of the decoder, of the vision tower, and between them. */
export const paliGemmaLinears = [...gemmaLinears, ...siglipLinears, 'projector'] as const;

/** Parts of the model. */
export const paliGemmaTowers = [...gemmaTowers, 'vision', 'projector'] as const;

/** What the paths of the decoder's parameters begin with. */
export const decoderPrefix = 'language.';

/**
 * Every parameter of the model (`vision.layers.0.attn.qProj.weight`), in the order a forward pass meets them. The decoder's blocks are
 * counted first.
 */
export function paliGemmaParamSpecs({ vision, text }: PaliGemmaConfig): ParamSpec[] {
  return [
    ...siglipParamSpecs(vision, 'vision.', text.numLayers),
    ...linearWithBias('projector', [text.hiddenSize, vision.hiddenSize], { tower: 'projector' }),
    ...gemmaParamSpecs(text).map((spec) => ({ ...spec, path: decoderPrefix + spec.path })),
  ];
}
