import type { LinearParams, Tensor } from '@lapidary/tensor';
import { linearSpec, normSpec } from '../../models/param-specs.js';
import type { ParamSpec } from '../family.js';
import { embeddingPath, gemmaLinears, type NormParams } from '../gemma/params.js';
import { type Gemma4Config, gemma4Layers, hasPerLayerTable, hasValueProjection } from './config.js';

/** One layer's parameters. Norms multiply by the weight as it is. */
export interface Gemma4LayerParams {
  readonly inputNorm: NormParams;
  readonly attn: {
    readonly qProj: LinearParams;
    readonly qNorm: NormParams;
    /** Not in layers that attend to the keys and values of another. */
    readonly kProj?: LinearParams;
    readonly kNorm?: NormParams;
    /** Nor where the keys are the values. */
    readonly vProj?: LinearParams;
    readonly oProj: LinearParams;
  };
  readonly postAttnNorm: NormParams;
  readonly preMlpNorm: NormParams;
  readonly mlp: { readonly gateProj: LinearParams; readonly upProj: LinearParams; readonly downProj: LinearParams };
  readonly postMlpNorm: NormParams;
  /** How the stream takes up the layer's input; only where layers have inputs. */
  readonly perLayerInput?: {
    /** [P, d]. */
    readonly perLayerInputGate: LinearParams;
    /** [d, P]. */
    readonly perLayerProjection: LinearParams;
    readonly postNorm: NormParams;
  };
  /** [1]: multiplies the stream after the layer. */
  readonly layerScalar: Tensor;
}

/** What all layers' inputs are made of. */
export interface PerLayerInputParams {
  /** [L·P, d]. */
  readonly perLayerModelProjection: LinearParams;
  /** [P]: one for all layers. */
  readonly norm: NormParams;
}

/** A text model's parameters but the table on the host, as `gemma4Hidden` takes them: `paramTree<Gemma4Params>(variables)`. */
export interface Gemma4Params {
  /** [V, d]; also the output projection, where there is no `lmHead`. */
  readonly embedTokens: { readonly weight: Tensor };
  /** [V, d]: of adapters that trained it apart. */
  readonly lmHead?: { readonly weight: Tensor };
  readonly perLayerInputs?: PerLayerInputParams;
  readonly layers: readonly Gemma4LayerParams[];
  readonly finalNorm: NormParams;
}

/** Last names of the linears of a decoder. */
export const gemma4Linears = [
  ...gemmaLinears,
  'perLayerInputGate',
  'perLayerProjection',
  'perLayerModelProjection',
] as const;

/** Path of the table of the layers' inputs, which stays on the host. */
export const perLayerTablePath = 'perLayerEmbedTokens.weight';

/** As big_vision adds words to a vocabulary. */
const embeddingStd = 0.02;
/** Used as it is: a norm begins as the identity. */
const normStart = 1;

/** Every parameter of the model (`layers.0.attn.qProj.weight`), in the order a forward pass meets them. */
export function gemma4ParamSpecs(config: Gemma4Config): ParamSpec[] {
  const { hiddenSize: d, vocabSize, hiddenSizePerLayerInput: p, vocabSizePerLayerInput, numLayers } = config;
  const tower = 'language';
  const table = { role: 'table', tower, initial: { std: embeddingStd } } as const;
  return [
    { path: embeddingPath, shape: [vocabSize, d], ...table },
    ...(hasPerLayerTable(config)
      ? [{ path: perLayerTablePath, shape: [vocabSizePerLayerInput, numLayers * p], ...table, isOnHost: true }]
      : []),
    ...(p > 0
      ? [
          linearSpec('perLayerInputs.perLayerModelProjection', [numLayers * p, d], { tower }),
          normSpec('perLayerInputs.norm', p, normStart, { tower }),
        ]
      : []),
    ...gemma4Layers(config).flatMap((layer, index) => {
      const { numHeads, numKvHeads, headDim, intermediateSize: f, kvFrom } = layer;
      const place = { tower, layer: index, block: index };
      const linear = (name: string, out: number, input: number) =>
        linearSpec(`layers.${index}.${name}`, [out, input], place);
      const norm = (name: string, size: number) => normSpec(`layers.${index}.${name}`, size, normStart, place);
      const hasOwnKeys = kvFrom === index;
      return [
        norm('inputNorm', d),
        linear('attn.qProj', numHeads * headDim, d),
        norm('attn.qNorm', headDim),
        ...(hasOwnKeys ? [linear('attn.kProj', numKvHeads * headDim, d), norm('attn.kNorm', headDim)] : []),
        ...(hasOwnKeys && hasValueProjection(config, index) ? [linear('attn.vProj', numKvHeads * headDim, d)] : []),
        linear('attn.oProj', d, numHeads * headDim),
        norm('postAttnNorm', d),
        norm('preMlpNorm', d),
        linear('mlp.gateProj', f, d),
        linear('mlp.upProj', f, d),
        linear('mlp.downProj', d, f),
        norm('postMlpNorm', d),
        ...(p > 0
          ? [
              linear('perLayerInput.perLayerInputGate', p, d),
              linear('perLayerInput.perLayerProjection', d, p),
              norm('perLayerInput.postNorm', d),
            ]
          : []),
        {
          path: `layers.${index}.layerScalar`,
          shape: [1],
          role: 'kernel',
          ...place,
          initial: { value: 1 },
          isConstant: true,
        } as const,
      ];
    }),
    normSpec('finalNorm', d, normStart, { tower }),
  ];
}
