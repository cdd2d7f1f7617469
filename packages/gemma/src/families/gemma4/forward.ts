import {
  add,
  attention,
  cast,
  checkpoint,
  embedding,
  geglu,
  mul,
  reshape,
  rmsNorm,
  rope,
  scatterRows,
  split,
  type Tensor,
} from '@lapidary/tensor';
import { createProjection, type Projection } from '../../models/projection.js';
import { isRecomputed } from '../../models/recompute.js';
import type { ForwardOptions, LayerGeometry, ModelInputs } from '../family.js';
import type { NormParams } from '../gemma/params.js';
import { type Gemma4Config, gemma4Layers, hasPerLayerTable } from './config.js';
import type { Gemma4LayerParams, Gemma4Params, PerLayerInputParams } from './params.js';

// The text model of Gemma 4, as transformers computes it, and models of its blocks.

/** Keys and values that a layer attends to, f32 [B, S, K, D] each. */
interface KeysAndValues {
  readonly k: Tensor;
  readonly v: Tensor;
}

interface Block {
  readonly config: Gemma4Config;
  readonly layer: LayerGeometry;
  readonly params: Gemma4LayerParams;
  /** f32 [B, T, P]: the layer's input, where layers have any. */
  readonly input: Tensor | undefined;
  readonly tokenInfo: Tensor;
  readonly keyInfo: Tensor;
  readonly project: Projection;
  /** What other layers have computed, or gives what this one computes its place in the cache. */
  readonly shared: KeysAndValues | undefined;
  store(computed: KeysAndValues): KeysAndValues;
}

/** The residual stream after the last norm, f32 [B, T, d], and the caches with the new keys and values in them. */
export function gemma4Hidden(
  params: Gemma4Params,
  config: Gemma4Config,
  inputs: ModelInputs,
  options: ForwardOptions = {},
): { hidden: Tensor; cache: readonly KeysAndValues[] } {
  const { embedScale = Math.fround(Math.sqrt(config.hiddenSize)) } = options;
  const embedded = embedding(params.embedTokens.weight, inputs.inputIds, { scale: embedScale });
  return gemma4Decode(params, config, embedded, inputs, options);
}

/** The decoder over embeddings f32 [B, T, d]. */
export function gemma4Decode(
  params: Gemma4Params,
  config: Gemma4Config,
  embedded: Tensor,
  { tokenInfo, hostRows }: Pick<ModelInputs, 'tokenInfo' | 'hostRows'>,
  options: ForwardOptions = {},
): { hidden: Tensor; cache: readonly KeysAndValues[] } {
  const layerInputs =
    params.perLayerInputs && perLayerInputs(params.perLayerInputs, config, embedded, hostRows, options);
  const layers = gemma4Layers(config);
  const found: KeysAndValues[] = [];
  const cache: KeysAndValues[] = [];
  let h = embedded;
  layers.forEach((layer, index) => {
    const isShared = layer.kvFrom !== index;
    const block: Block = {
      config,
      layer,
      params: params.layers[index]!,
      input: layerInputs?.[index],
      tokenInfo,
      keyInfo: options.cache?.keyInfo ?? tokenInfo,
      project: createProjection(options, index),
      shared: isShared ? found[layer.kvFrom] : undefined,
      store: (computed) => {
        if (options.cache === undefined) return computed;
        const { stored, read } = storeKeys(computed, options.cache, cache.length, layer);
        cache.push(stored);
        return read;
      },
    };
    const run = (x: Tensor) => gemma4Block(x, block);
    const result = isRecomputed(options, index) ? checkpoint(run)(h) : run(h);
    h = result.h;
    found.push(result.attended);
  });
  return { hidden: rmsNorm(h, params.finalNorm.weight, { eps: config.rmsNormEps }), cache };
}

/** Puts new keys and values into the cache of a layer: as they are kept, and as attention reads them. */
function storeKeys(
  { k, v }: KeysAndValues,
  { layers, slots }: NonNullable<ForwardOptions['cache']>,
  index: number,
  { numKvHeads, headDim }: LayerGeometry,
): { readonly stored: KeysAndValues; readonly read: KeysAndValues } {
  const [batch] = k.shape as [number];
  const put = (cached: Tensor, computed: Tensor) =>
    scatterRows(cached, slots, reshape(computed, [-1, numKvHeads * headDim]));
  const stored = { k: put(layers[index]!.k, k), v: put(layers[index]!.v, v) };
  const read = (x: Tensor) => reshape(x, [batch, -1, numKvHeads, headDim]);
  return { stored, read: { k: read(stored.k), v: read(stored.v) } };
}

/**
 * What each layer is given of each token, f32 [B, T, P]: what a projection makes of its embedding, and, where there is a table, what it
 * says of the token. `rows`: the table's, in the storage type of its file.
 */
function perLayerInputs(
  params: PerLayerInputParams,
  config: Gemma4Config,
  embedded: Tensor,
  rows: Tensor | undefined,
  options: ForwardOptions,
): readonly Tensor[] {
  const { hiddenSize, hiddenSizePerLayerInput: size, numLayers, rmsNormEps } = config;
  const [batch, tokens] = embedded.shape as [number, number, number];
  const shape = [batch, tokens, numLayers, size];
  // No block has this number: what an adapter drops here is drawn apart.
  const projected = createProjection(options, numLayers)(embedded, params.perLayerModelProjection, 0);
  const ofContext = rmsNorm(reshape(mul(projected, hiddenSize ** -0.5), shape), params.norm.weight, {
    eps: rmsNormEps,
  });
  const given = hasPerLayerTable(config) ? mul(add(ofContext, ofToken()), Math.SQRT1_2) : ofContext;
  return split(given, 2).map((part) => reshape(part, [batch, tokens, size]));

  function ofToken(): Tensor {
    if (rows === undefined) throw new TypeError('the model has embeddings for each layer, but `hostRows` is left out');
    return mul(reshape(cast(rows, 'f32'), shape), Math.fround(Math.sqrt(size)));
  }
}

/** h + norm(attention(norm(h))), + norm(mlp(norm(h))), + norm(what the layer's input adds), times a number. */
function gemma4Block(h: Tensor, block: Block): { readonly h: Tensor; readonly attended: KeysAndValues } {
  const { params, project, input, config } = block;
  const norm = (x: Tensor, { weight }: NormParams) => rmsNorm(x, weight, { eps: config.rmsNormEps });
  const { out, attended } = selfAttention(norm(h, params.inputNorm), block);
  const middle = add(h, norm(out, params.postAttnNorm));
  const x = norm(middle, params.preMlpNorm);
  const { gateProj, upProj, downProj } = params.mlp;
  const mlp = project(geglu(project(x, gateProj, 4), project(x, upProj, 5)), downProj, 6);
  const after = add(middle, norm(mlp, params.postMlpNorm));
  return { h: mul(withInput(after, input), cast(params.layerScalar, 'f32')), attended };

  function withInput(stream: Tensor, given: Tensor | undefined): Tensor {
    if (given === undefined || params.perLayerInput === undefined) return stream;
    const { perLayerInputGate, perLayerProjection, postNorm } = params.perLayerInput;
    const gated = geglu(project(stream, perLayerInputGate, 7), given);
    return add(stream, norm(project(gated, perLayerProjection, 8), postNorm));
  }
}

function selfAttention(x: Tensor, block: Block): { readonly out: Tensor; readonly attended: KeysAndValues } {
  const { config, layer, params, tokenInfo, project } = block;
  const { attn } = params;
  const [batch, length] = x.shape as [number, number, number];
  const { numHeads, numKvHeads, headDim } = layer;
  const eps = config.rmsNormEps;
  const heads = (projected: Tensor, count: number) => reshape(projected, [batch, length, count, headDim]);
  const turned = (states: Tensor, { weight }: NormParams) =>
    rope(rmsNorm(states, weight, { eps }), tokenInfo, layer.rope);
  const q = turned(heads(project(x, attn.qProj, 0), numHeads), attn.qNorm);
  const computed = () => {
    const k = heads(project(x, attn.kProj!, 1), numKvHeads);
    const v = attn.vProj ? heads(project(x, attn.vProj, 2), numKvHeads) : k;
    return block.store({ k: turned(k, attn.kNorm!), v: rmsNorm(v, null, { eps }) });
  };
  const attended = block.shared ?? computed();
  const out = attention(q, attended.k, attended.v, tokenInfo, block.keyInfo, { scale: 1, window: layer.window ?? 0 });
  return { out: project(reshape(out, [batch, length, numHeads * headDim]), attn.oProj, 3), attended };
}
