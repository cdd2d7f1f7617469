import {
  add,
  attention,
  checkpoint,
  dropout,
  embedding,
  geglu,
  linear,
  linearCrossEntropy,
  matmul,
  mul,
  reshape,
  rmsNorm,
  rope,
  scatterRows,
  sum,
  tanh,
  type LinearParams,
  type Tensor,
} from '@lapidary/tensor';
import type { GemmaConfig } from './config.js';

// Gemma 1, 2 and 3 text models (arXiv:2403.08295, 2408.00118, 2503.19786), as transformers and google-deepmind/gemma compute them.

export interface NormParams {
  /** [d]; used as 1 + weight. */
  readonly weight: Tensor;
}

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

export interface GemmaParams {
  /** [V, d]; also the output projection. */
  readonly embedTokens: { readonly weight: Tensor };
  readonly layers: readonly GemmaLayerParams[];
  readonly finalNorm: NormParams;
}

export interface GemmaInputs {
  /** i32 [B, T]. */
  readonly inputIds: Tensor;
  /** i32 [B, T, 4]: (segment, block, position, 0) of every token; see `attention` of @lapidary/tensor. */
  readonly tokenInfo: Tensor;
}

/** Keys and values of earlier tokens, for generation. */
export interface KvCache {
  /** f32 [B·S, K·D] for every layer. */
  readonly layers: readonly { readonly k: Tensor; readonly v: Tensor }[];
  /** i32 [B·T]: rows of the cache that the new tokens' keys and values go to. */
  readonly slots: Tensor;
  /** i32 [B, S, 4]: records of the cached tokens, the new ones included; segment 0 where there is none yet. */
  readonly keyInfo: Tensor;
}

export interface GemmaOptions {
  /** Multiplies embeddings. Default √d unrounded, as in an f32 run of transformers; the bf16 run rounds it to bf16. */
  readonly embedScale?: number;
  /** Multiplies every low-rank update: alpha / rank, or alpha / √rank with rslora. Default 1. */
  readonly loraScale?: number;
  /** Share of a low-rank update's inputs that is dropped, with the step's seed (i32 scalar). Default none. */
  readonly loraDropout?: { readonly rate: number; readonly seed: Tensor };
  /** Computes each block again in the backward pass instead of keeping its values. */
  readonly gradientCheckpointing?: boolean;
  readonly cache?: KvCache;
}

interface Block {
  readonly config: GemmaConfig;
  readonly index: number;
  readonly tokenInfo: Tensor;
  readonly options: GemmaOptions;
  /** x → projection(x), with its low-rank update. */
  readonly project: (x: Tensor, params: LinearParams, name: number) => Tensor;
  readonly updates: { k: Tensor; v: Tensor }[];
}

/** The residual stream after the last norm, f32 [B, T, d], and the caches with the new keys and values in them. */
export function gemmaHidden(
  params: GemmaParams,
  config: GemmaConfig,
  { inputIds, tokenInfo }: GemmaInputs,
  options: GemmaOptions = {},
): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] } {
  const norm = { eps: config.rmsNormEps, weightOffset: 1 };
  const updates: { k: Tensor; v: Tensor }[] = [];
  let h = embedding(params.embedTokens.weight, inputIds, {
    scale: options.embedScale ?? Math.fround(Math.sqrt(config.hiddenSize)),
  });
  params.layers.forEach((layer, index) => {
    const project = (x: Tensor, linearParams: LinearParams, name: number) => {
      const { loraScale = 1, loraDropout } = options;
      const dropped =
        loraDropout && linearParams.lora ? dropout(x, loraDropout.rate, loraDropout.seed, index * 8 + name) : x;
      return linear(x, linearParams, { loraScale, loraInput: dropped });
    };
    const block: Block = { config, index, tokenInfo, options, project, updates };
    const run = (x: Tensor) => gemmaBlock(x, layer, block);
    h = options.gradientCheckpointing ? checkpoint(run)(h) : run(h);
  });
  return { hidden: rmsNorm(h, params.finalNorm.weight, norm), cache: updates };
}

/** h + norm(attention(norm(h))), then h + norm(mlp(norm(h))); Gemma 1 has no norms after attention and MLP. */
function gemmaBlock(h: Tensor, params: GemmaLayerParams, block: Block): Tensor {
  const norm = { eps: block.config.rmsNormEps, weightOffset: 1 };
  const maybe = (x: Tensor, p: NormParams | undefined) => (p ? rmsNorm(x, p.weight, norm) : x);
  const attended = maybe(
    selfAttention(rmsNorm(h, params.inputNorm.weight, norm), params.attn, block),
    params.postAttnNorm,
  );
  const middle = add(h, attended);
  return add(
    middle,
    maybe(mlp(rmsNorm(middle, params.preMlpNorm.weight, norm), params.mlp, block), params.postMlpNorm),
  );
}

function selfAttention(
  x: Tensor,
  params: GemmaLayerParams['attn'],
  { config, index, tokenInfo, options, project, updates }: Block,
): Tensor {
  const [batch, length] = x.shape as [number, number, number];
  const { numHeads, numKvHeads, headDim } = config;
  const isLocal = config.layerTypes[index] === 'local';
  const norm = { eps: config.rmsNormEps, weightOffset: 1 };
  const turn = isLocal
    ? { theta: config.ropeLocalTheta }
    : { theta: config.ropeTheta, scalingFactor: config.ropeScalingFactor };
  const heads = (projected: Tensor, count: number, p: NormParams | undefined) => {
    const split = reshape(projected, [batch, length, count, headDim]);
    return rope(p ? rmsNorm(split, p.weight, norm) : split, tokenInfo, turn);
  };
  const q = heads(project(x, params.qProj, 0), numHeads, params.qNorm);
  let k = heads(project(x, params.kProj, 1), numKvHeads, params.kNorm);
  let v = reshape(project(x, params.vProj, 2), [batch, length, numKvHeads, headDim]);
  let keyInfo = tokenInfo;
  if (options.cache) {
    const { layers, slots } = options.cache;
    const width = numKvHeads * headDim;
    const cached = layers[index]!;
    const stored = {
      k: scatterRows(cached.k, slots, reshape(k, [batch * length, width])),
      v: scatterRows(cached.v, slots, reshape(v, [batch * length, width])),
    };
    updates.push(stored);
    k = reshape(stored.k, [batch, -1, numKvHeads, headDim]);
    v = reshape(stored.v, [batch, -1, numKvHeads, headDim]);
    keyInfo = options.cache.keyInfo;
  }
  const out = attention(q, k, v, tokenInfo, keyInfo, {
    scale: config.queryPreAttnScalar ** -0.5,
    softcap: config.attnLogitSoftcap ?? 0,
    window: isLocal ? (config.slidingWindow ?? 0) : 0,
  });
  return project(reshape(out, [batch, length, numHeads * headDim]), params.oProj, 3);
}

function mlp(x: Tensor, params: GemmaLayerParams['mlp'], { project }: Block): Tensor {
  return project(geglu(project(x, params.gateProj, 4), project(x, params.upProj, 5)), params.downProj, 6);
}

/** Logits f32 [R, V] of rows of the hidden stream, f32 [R, d], after the final soft-cap. For a few rows: V is large. */
export function gemmaLogits(params: GemmaParams, config: GemmaConfig, rows: Tensor): Tensor {
  const logits = matmul(rows, params.embedTokens.weight, { transposeB: true });
  const cap = config.finalLogitSoftcap;
  return cap ? mul(tanh(mul(logits, 1 / cap)), cap) : logits;
}

export interface GemmaTargets {
  /** i32 [R]: rows of the flattened [B·T] stream that predict a target; −1 fills up. */
  readonly rows: Tensor;
  /** i32 [R]: the token each of these rows should predict; negative where there is none. */
  readonly targets: Tensor;
  /** f32 [1]: what the sum of losses is multiplied by: 1 / targets of the whole optimiser step. */
  readonly weight: Tensor;
}

/** Σ cross-entropy of the targets · weight (nats, f32 scalar). Only rows with a target meet the vocabulary. */
export function gemmaLoss(
  params: GemmaParams,
  config: GemmaConfig,
  inputs: GemmaInputs,
  { rows, targets, weight }: GemmaTargets,
  options: GemmaOptions = {},
): Tensor {
  const { hidden } = gemmaHidden(params, config, inputs, options);
  const flat = reshape(hidden, [-1, config.hiddenSize]);
  const losses = linearCrossEntropy(embedding(flat, rows), params.embedTokens.weight, targets, {
    softcap: config.finalLogitSoftcap ?? 0,
  });
  return reshape(mul(sum(losses), weight), []);
}
