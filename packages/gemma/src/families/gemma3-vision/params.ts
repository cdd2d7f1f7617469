import type { Tensor } from '@lapidary/tensor';
import { normSpec } from '../../models/param-specs.js';
import type { ParamSpec } from '../family.js';
import { gemmaLinears, gemmaParamSpecs, gemmaTowers, type GemmaParams, type NormParams } from '../gemma/params.js';
import { siglipLinears, siglipParamSpecs, type SiglipParams } from '../siglip/params.js';
import type { Gemma3VisionConfig } from './config.js';

/** Between the towers: a norm of pictures' pooled features, and their projection to the text's width. */
export interface ProjectorParams {
  readonly norm: NormParams;
  /** [W, d]: as it is stored, no linear of Python's. */
  readonly weight: Tensor;
}

/** A model's parameters: those of the text model, by the same paths, and what sees. */
export interface Gemma3VisionParams extends GemmaParams {
  readonly vision: SiglipParams;
  readonly projector: ProjectorParams;
}

/** Last names of all linears. */
export const gemma3VisionLinears = [...gemmaLinears, ...siglipLinears] as const;

/** Parts of the model. */
export const gemma3VisionTowers = [...gemmaTowers, 'vision', 'projector'] as const;

/** Every parameter of the model (`vision.layers.0.attn.qProj.weight`). The text model's blocks are counted first. */
export function gemma3VisionParamSpecs({ vision, text }: Gemma3VisionConfig): ParamSpec[] {
  const shape = [vision.hiddenSize, text.hiddenSize];
  const tower = 'projector';
  return [
    ...siglipParamSpecs(vision, 'vision.', text.numLayers),
    normSpec('projector.norm', vision.hiddenSize, 0, { tower }),
    { path: 'projector.weight', shape, role: 'kernel', tower, initial: { std: 1 / Math.sqrt(vision.hiddenSize) } },
    ...gemmaParamSpecs(text),
  ];
}
