import type { LinearParams, Tensor } from '@lapidary/tensor';
import { biasSpec, fanIn, linearSpec, normSpec, type ParamPlace } from '../../models/param-specs.js';
import type { ParamSpec } from '../family.js';
import { patchCount, type SiglipConfig } from './config.js';

/** [W] each. */
export interface LayerNormParams {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** One layer's parameters. */
export interface SiglipLayerParams {
  readonly norm1: LayerNormParams;
  readonly attn: {
    readonly qProj: LinearParams;
    readonly kProj: LinearParams;
    readonly vProj: LinearParams;
    readonly outProj: LinearParams;
  };
  readonly norm2: LayerNormParams;
  readonly mlp: { readonly fc1: LinearParams; readonly fc2: LinearParams };
}

/** A vision tower's parameters, W its width. */
export interface SiglipParams {
  /** A convolution whose stride is its size: weight [W, 3, p, p], bias [W]. */
  readonly patchEmbed: LinearParams;
  /** [N, W]: learned, one row a patch. */
  readonly posEmbed: { readonly weight: Tensor };
  readonly layers: readonly SiglipLayerParams[];
  readonly finalNorm: LayerNormParams;
}

/** Last names of the linears of a vision tower. */
export const siglipLinears = ['qProj', 'kProj', 'vProj', 'outProj', 'fc1', 'fc2'] as const;

/** A linear layer [out, in] with its bias. */
export function linearWithBias(path: string, shape: readonly [number, number], place: ParamPlace): ParamSpec[] {
  return [linearSpec(path, shape, place), biasSpec(path, shape[0], place)];
}

/** LayerNorm multiplies by its weight: it begins as the identity at 1. */
function layerNorm(path: string, size: number, place: ParamPlace): ParamSpec[] {
  return [normSpec(path, size, 1, place), biasSpec(path, size, place)];
}

/**
 * Every parameter of a vision tower under `prefix` (`vision.`), in the order a forward pass meets them. `firstBlock` is the number of
 * its first block, counted over all towers of the model.
 */
export function siglipParamSpecs(config: SiglipConfig, prefix: string, firstBlock: number): ParamSpec[] {
  const { hiddenSize: w, intermediateSize: f, patchSize: p, numLayers } = config;
  const tower = { tower: 'vision' };
  const kernel = [w, 3, p, p];
  const places = [patchCount(config), w];
  return [
    { path: `${prefix}patchEmbed.weight`, shape: kernel, role: 'kernel', ...tower, initial: fanIn(kernel) },
    biasSpec(`${prefix}patchEmbed`, w, tower),
    { path: `${prefix}posEmbed.weight`, shape: places, role: 'table', ...tower, initial: fanIn(places) },
    ...Array.from({ length: numLayers }, (_, index) => {
      const place = { ...tower, layer: index, block: firstBlock + index };
      const layer = `${prefix}layers.${index}`;
      return [
        ...layerNorm(`${layer}.norm1`, w, place),
        ...['qProj', 'kProj', 'vProj', 'outProj'].flatMap((name) =>
          linearWithBias(`${layer}.attn.${name}`, [w, w], place),
        ),
        ...layerNorm(`${layer}.norm2`, w, place),
        ...linearWithBias(`${layer}.mlp.fc1`, [f, w], place),
        ...linearWithBias(`${layer}.mlp.fc2`, [w, f], place),
      ];
    }).flat(),
    ...layerNorm(`${prefix}finalNorm`, w, tower),
  ];
}
