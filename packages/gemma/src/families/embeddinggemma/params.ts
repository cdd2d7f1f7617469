import type { LinearParams } from '@lapidary/tensor';
import { linearSpec } from '../../models/param-specs.js';
import type { ParamSpec } from '../family.js';
import { gemmaLinears, gemmaParamSpecs, gemmaTowers, type GemmaParams } from '../gemma/params.js';
import type { EmbeddingGemmaConfig } from './config.js';

/** Parameters of an EmbeddingGemma: those of its text model, and the head. */
export interface EmbeddingGemmaParams extends GemmaParams {
  /** [out, in] each. */
  readonly head: readonly { readonly dense: LinearParams }[];
}

/** Last names of the linears. */
export const embeddingGemmaLinears = [...gemmaLinears, 'dense'] as const;

/** The text model, and the linears that make a vector of its stream. */
export const embeddingGemmaTowers = [...gemmaTowers, 'head'] as const;

/** Every parameter of the model (`layers.0.attn.qProj.weight`, `head.0.dense.weight`), in the order a forward pass meets them. */
export function embeddingGemmaParamSpecs({ text, headSizes }: EmbeddingGemmaConfig): ParamSpec[] {
  return [
    ...gemmaParamSpecs(text),
    ...headSizes.map((out, i) =>
      linearSpec(`head.${i}.dense`, [out, headSizes[i - 1] ?? text.hiddenSize], { tower: 'head' }),
    ),
  ];
}
