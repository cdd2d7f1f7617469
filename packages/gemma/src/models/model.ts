import { embedding, linearCrossEntropy, mul, reshape, sum, type Tensor } from '@lapidary/tensor';
import type { GemmaConfig } from '../config/gemma-config.js';
import { gemmaHidden, type GemmaOptions, type GemmaParams } from './gemma.js';
import { gemmaParamSpecs, type ParamSpec } from './gemma-param-specs.js';
import { paliGemmaHidden, type PaliGemmaConfig, type PaliGemmaInputs, type PaliGemmaParams } from './paligemma.js';
import { paliGemmaParamSpecs } from './paligemma-param-specs.js';
import type { SiglipConfig } from './siglip.js';

// What trainer, loaders and generation ask of a model, whichever it is. A new architecture is added here and nowhere else.

/** Any model of this package. */
export type ModelConfig = GemmaConfig | PaliGemmaConfig;
export type ModelParams = GemmaParams | PaliGemmaParams;
/** `patches` only for a model with a vision tower. */
export type ModelInputs = PaliGemmaInputs;

/** The decoder's part of a configuration. */
export function textConfigOf(config: ModelConfig): GemmaConfig {
  return config.family === 'paligemma' ? config.text : config;
}

/** The decoder's part of a tree of parameters. */
export function textParamsOf(params: ModelParams): GemmaParams {
  return 'language' in params ? params.language : params;
}

/** The vision tower's part of a configuration; undefined for a model that sees no images. */
export function visionConfigOf(config: ModelConfig): SiglipConfig | undefined {
  return config.family === 'paligemma' ? config.vision : undefined;
}

/** What the paths of the decoder's parameters begin with. */
export function textPrefixOf(config: ModelConfig): '' | 'language.' {
  return config.family === 'paligemma' ? 'language.' : '';
}

/** Every parameter of a model by path, in the order a forward pass meets them. */
export function modelParamSpecs(config: ModelConfig): Map<string, ParamSpec> {
  return config.family === 'paligemma' ? paliGemmaParamSpecs(config) : gemmaParamSpecs(config);
}

/** The residual stream after the last norm, f32 [B, tokens, d], and the caches with the new keys and values in them. */
export function modelHidden(
  params: ModelParams,
  config: ModelConfig,
  inputs: ModelInputs,
  options: GemmaOptions = {},
): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] } {
  return config.family === 'paligemma'
    ? paliGemmaHidden(params as PaliGemmaParams, config, inputs, options)
    : gemmaHidden(params as GemmaParams, config, inputs, options);
}

export interface ModelTargets {
  /** i32 [R]: rows of the flattened [B·tokens] stream that predict a target; −1 fills up. */
  readonly rows: Tensor;
  /** i32 [R]: the token each of these rows should predict; negative where there is none. */
  readonly targets: Tensor;
  /** f32 [1]: what the sum of losses is multiplied by: 1 / targets of the whole optimiser step. */
  readonly weight: Tensor;
}

/** Σ cross-entropy of the targets · weight (nats, f32 scalar). Only rows with a target meet the vocabulary. */
export function modelLoss(
  params: ModelParams,
  config: ModelConfig,
  inputs: ModelInputs,
  { rows, targets, weight }: ModelTargets,
  options: GemmaOptions = {},
): Tensor {
  const text = textConfigOf(config);
  const { hidden } = modelHidden(params, config, inputs, options);
  const flat = reshape(hidden, [-1, text.hiddenSize]);
  const losses = linearCrossEntropy(embedding(flat, rows), textParamsOf(params).embedTokens.weight, targets, {
    softcap: text.finalLogitSoftcap ?? 0,
  });
  return reshape(mul(sum(losses), weight), []);
}
