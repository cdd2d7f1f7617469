import { linearSpec } from '../../models/param-specs.js';
import { type EmbeddingGemmaParams, embeddingGemmaTowers } from '../embeddinggemma/params.js';
import type { ParamSpec } from '../family.js';
import { gemma4Linears, gemma4ParamSpecs, type Gemma4Params } from '../gemma4/params.js';
import type { EmbeddingGemma2Config } from './config.js';

/** Parameters of an EmbeddingGemma 2: those of its text model, and the head of one linear. */
export type EmbeddingGemma2Params = Gemma4Params & Pick<EmbeddingGemmaParams, 'head'>;

/** Last names of the linears. */
export const embeddingGemma2Linears = [...gemma4Linears, 'dense'] as const;

/** The text model, and the linear that makes a vector of its stream. */
export const embeddingGemma2Towers = embeddingGemmaTowers;

/** Path of that linear. */
export const headDense = 'head.0.dense';

/** Every parameter of the model (`layers.0.attn.qProj.weight`, `head.0.dense.weight`), in the order a forward pass meets them. */
export function embeddingGemma2ParamSpecs({ text, vectorSize }: EmbeddingGemma2Config): ParamSpec[] {
  return [...gemma4ParamSpecs(text), linearSpec(headDense, [vectorSize, text.hiddenSize], { tower: 'head' })];
}
