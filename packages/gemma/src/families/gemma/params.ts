import type { LinearParams, Tensor } from '@lapidary/tensor';
import { linearSpec, normSpec } from '../../models/param-specs.js';
import type { ParamSpec } from '../family.js';
import { gemmaLayers, type GemmaConfig } from './config.js';
import { generations } from './generations.js';

/** An RMSNorm. */
export interface NormParams {
  /** [d]; used as 1 + weight. */
  readonly weight: Tensor;
}

/** One layer's parameters. */
export interface GemmaLayerParams {
  readonly inputNorm: NormParams;
  readonly attn: {
    readonly qProj: LinearParams;
    readonly kProj: LinearParams;
    readonly vProj: LinearParams;
    readonly oProj: LinearParams;
    /** Gemma 3: norms of each head of q and k, before the rotation. */
    readonly qNorm?: NormParams;
    readonly kNorm?: NormParams;
  };
  /** Gemma 2 and 3: norm of what attention adds to the stream. */
  readonly postAttnNorm?: NormParams;
  readonly preMlpNorm: NormParams;
  readonly mlp: { readonly gateProj: LinearParams; readonly upProj: LinearParams; readonly downProj: LinearParams };
  /** Gemma 2 and 3: norm of what the MLP adds to the stream. */
  readonly postMlpNorm?: NormParams;
}

/** A text model's parameters, as `gemmaHidden` takes them: `paramTree<GemmaParams>(variables)`. */
export interface GemmaParams {
  /** [V, d]; also the output projection, where there is no `lmHead`. */
  readonly embedTokens: { readonly weight: Tensor };
  /** [V, d]: of adapters that trained it apart. */
  readonly lmHead?: { readonly weight: Tensor };
  readonly layers: readonly GemmaLayerParams[];
  readonly finalNorm: NormParams;
}

/** Last names of the linears of a decoder. */
export const gemmaLinears = ['qProj', 'kProj', 'vProj', 'oProj', 'gateProj', 'upProj', 'downProj'] as const;

/** A text model is one tower. */
export const gemmaTowers = ['language'] as const;

/** Path of the table of words. */
export const embeddingPath = 'embedTokens.weight';
/** Path of an output projection apart from it. */
export const headPath = 'lmHead.weight';

/** As big_vision adds words to a vocabulary. */
const embeddingStd = 0.02;
/** Used as 1 + w: a norm begins as the identity. */
const normStart = 0;

/** Every parameter of the model (`layers.0.attn.qProj.weight`), in the order a forward pass meets them. */
export function gemmaParamSpecs(config: GemmaConfig): ParamSpec[] {
  const { hiddenSize: d, vocabSize } = config;
  const { hasQkNorm, hasPostNorms } = generations[config.family];
  const tower = 'language';
  return [
    { path: embeddingPath, shape: [vocabSize, d], role: 'table', tower, initial: { std: embeddingStd } },
    ...gemmaLayers(config).flatMap(({ numHeads, numKvHeads, headDim, intermediateSize: f }, index) => {
      const place = { tower, layer: index, block: index };
      const linear = (name: string, out: number, input: number) =>
        linearSpec(`layers.${index}.${name}`, [out, input], place);
      const norm = (name: string, size: number) => normSpec(`layers.${index}.${name}`, size, normStart, place);
      return [
        norm('inputNorm', d),
        linear('attn.qProj', numHeads * headDim, d),
        linear('attn.kProj', numKvHeads * headDim, d),
        linear('attn.vProj', numKvHeads * headDim, d),
        linear('attn.oProj', d, numHeads * headDim),
        ...(hasQkNorm ? [norm('attn.qNorm', headDim), norm('attn.kNorm', headDim)] : []),
        ...(hasPostNorms ? [norm('postAttnNorm', d)] : []),
        norm('preMlpNorm', d),
        linear('mlp.gateProj', f, d),
        linear('mlp.upProj', f, d),
        linear('mlp.downProj', d, f),
        ...(hasPostNorms ? [norm('postMlpNorm', d)] : []),
      ];
    }),
    normSpec('finalNorm', d, normStart, { tower }),
  ];
}
