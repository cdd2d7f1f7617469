import {
  add,
  attention,
  checkpoint,
  embedding,
  geglu,
  linearCrossEntropy,
  matmul,
  mul,
  reshape,
  rmsNorm,
  rope,
  scatterRows,
  tanh,
  type Tensor,
  type TokenLosses,
} from '@lapidary/tensor';
import { createProjection, type Projection } from '../../models/projection.js';
import { isRecomputed } from '../../models/recompute.js';
import type { ForwardOptions, LayerGeometry, Model, ModelInputs } from '../family.js';
import { gemmaLayers, type GemmaConfig } from './config.js';
import type { GemmaLayerParams, GemmaParams, NormParams } from './params.js';

// Gemma 1, 2 and 3 text models (arXiv:2403.08295, 2408.00118, 2503.19786), as transformers and google-deepmind/gemma compute them.

interface Block {
  readonly config: GemmaConfig;
  readonly layer: LayerGeometry;
  readonly index: number;
  readonly tokenInfo: Tensor;
  readonly options: ForwardOptions;
  readonly project: Projection;
  readonly updates: { k: Tensor; v: Tensor }[];
  readonly seesAhead: boolean;
}

/** Token embeddings as the first block takes them, f32 [B, T, d]. */
export function gemmaEmbed(
  params: GemmaParams,
  config: GemmaConfig,
  inputIds: Tensor,
  { embedScale = Math.fround(Math.sqrt(config.hiddenSize)) }: ForwardOptions = {},
): Tensor {
  return embedding(params.embedTokens.weight, inputIds, { scale: embedScale });
}

/**
 * The decoder over embeddings f32 [B, T, d]: the stream after the last norm, and the caches with the new keys and values. `seesAhead`: windows
 * bound what is before a token alone; what is after it, of its own block, it sees all (pictures in transformers).
 */
export function gemmaDecode(
  params: GemmaParams,
  config: GemmaConfig,
  embedded: Tensor,
  tokenInfo: Tensor,
  options: ForwardOptions = {},
  seesAhead = false,
): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] } {
  const norm = { eps: config.rmsNormEps, weightOffset: 1 };
  const updates: { k: Tensor; v: Tensor }[] = [];
  let h = embedded;
  gemmaLayers(config).forEach((layer, index) => {
    const project = createProjection(options, index);
    const block: Block = { config, layer, index, tokenInfo, options, project, updates, seesAhead };
    const run = (x: Tensor) => gemmaBlock(x, params.layers[index]!, block);
    h = isRecomputed(options, index) ? checkpoint(run)(h) : run(h);
  });
  return { hidden: rmsNorm(h, params.finalNorm.weight, norm), cache: updates };
}

/** The residual stream after the last norm, f32 [B, T, d], and the caches with the new keys and values in them. */
export function gemmaHidden(
  params: GemmaParams,
  config: GemmaConfig,
  { inputIds, tokenInfo }: ModelInputs,
  options: ForwardOptions = {},
): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] } {
  return gemmaDecode(params, config, gemmaEmbed(params, config, inputIds, options), tokenInfo, options);
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
  { config, layer, index, tokenInfo, options, project, updates, seesAhead }: Block,
): Tensor {
  const [batch, length] = x.shape as [number, number, number];
  const { numHeads, numKvHeads, headDim } = layer;
  const norm = { eps: config.rmsNormEps, weightOffset: 1 };
  const heads = (projected: Tensor, count: number, p: NormParams | undefined) => {
    const split = reshape(projected, [batch, length, count, headDim]);
    return rope(p ? rmsNorm(split, p.weight, norm) : split, tokenInfo, layer.rope);
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
    window: layer.window ?? 0,
    seesAhead,
  });
  return project(reshape(out, [batch, length, numHeads * headDim]), params.oProj, 3);
}

function mlp(x: Tensor, params: GemmaLayerParams['mlp'], { project }: Block): Tensor {
  return project(geglu(project(x, params.gateProj, 4), project(x, params.upProj, 5)), params.downProj, 6);
}

/** The table of words, which is the output projection too where there is no other. */
type TableParams = Pick<GemmaParams, 'embedTokens' | 'lmHead'>;
type CappedConfig = Pick<GemmaConfig, 'finalLogitSoftcap'>;

/** Logits f32 [R, V] of rows of the hidden stream, f32 [R, d], after the final soft-cap. For a few rows: V is large. */
export function gemmaLogits(params: TableParams, config: CappedConfig, rows: Tensor): Tensor {
  const logits = matmul(rows, (params.lmHead ?? params.embedTokens).weight, { transposeB: true });
  const cap = config.finalLogitSoftcap;
  return cap ? mul(tanh(mul(logits, 1 / cap)), cap) : logits;
}

/** Cross-entropy of rows of the hidden stream; see `Model.tokenLosses`. */
export function gemmaTokenLosses(
  params: TableParams,
  config: CappedConfig,
  rows: Tensor,
  targets: Tensor,
  options: Parameters<Model['tokenLosses']>[3],
): TokenLosses {
  const softcap = config.finalLogitSoftcap ?? 0;
  return linearCrossEntropy(rows, (params.lmHead ?? params.embedTokens).weight, targets, { softcap, ...options });
}
