import type { GemmaConfig } from '../config/gemma-config.js';

export interface ParamSpec {
  /** Row-major; a linear's weight is [out, in]. */
  readonly shape: readonly number[];
}

/** Every parameter of the model by path (`layers.0.attn.qProj.weight`), in the order a forward pass meets them. */
export function gemmaParamSpecs(config: GemmaConfig): Map<string, ParamSpec> {
  const { hiddenSize: d, intermediateSize: f, headDim } = config;
  const queries = config.numHeads * headDim;
  const keys = config.numKvHeads * headDim;
  const specs = new Map<string, ParamSpec>();
  const add = (path: string, ...shape: number[]) => specs.set(`${path}.weight`, { shape });

  add('embedTokens', config.vocabSize, d);
  for (let i = 0; i < config.numLayers; i++) {
    const layer = `layers.${i}`;
    add(`${layer}.inputNorm`, d);
    add(`${layer}.attn.qProj`, queries, d);
    add(`${layer}.attn.kProj`, keys, d);
    add(`${layer}.attn.vProj`, keys, d);
    add(`${layer}.attn.oProj`, d, queries);
    if (config.family === 'gemma3') {
      add(`${layer}.attn.qNorm`, headDim);
      add(`${layer}.attn.kNorm`, headDim);
    }
    if (config.family !== 'gemma1') add(`${layer}.postAttnNorm`, d);
    add(`${layer}.preMlpNorm`, d);
    add(`${layer}.mlp.gateProj`, f, d);
    add(`${layer}.mlp.upProj`, f, d);
    add(`${layer}.mlp.downProj`, d, f);
    if (config.family !== 'gemma1') add(`${layer}.postMlpNorm`, d);
  }
  add('finalNorm', d);
  return specs;
}
