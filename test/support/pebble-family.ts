// A family that no package knows: what somebody writes for an architecture of their own. Its layers differ in heads, window and base,
// and the second one attends to the keys and values of the first.
import type { KvCache, LayerGeometry, Model, ModelConfig, ModelFamily, ParamSpec, ParamTree } from '@lapidary/gemma';
import {
  add,
  attention,
  embedding,
  linear,
  linearCrossEntropy,
  matmul,
  reshape,
  rmsNorm,
  rope,
  scatterRows,
  type LinearParams,
  type Tensor,
} from '@lapidary/tensor';

export interface PebbleConfig extends ModelConfig {
  readonly family: 'pebble';
  readonly vocabSize: number;
  readonly hiddenSize: number;
}

const layers: readonly LayerGeometry[] = [
  { numHeads: 2, numKvHeads: 1, headDim: 8, window: null, rope: { theta: 1e4, scalingFactor: 1 }, kvFrom: 0 },
  { numHeads: 4, numKvHeads: 1, headDim: 8, window: null, rope: { theta: 1e4, scalingFactor: 1 }, kvFrom: 0 },
  { numHeads: 1, numKvHeads: 1, headDim: 16, window: 4, rope: { theta: 1e3, scalingFactor: 2 }, kvFrom: 2 },
].map((layer) => ({ ...layer, intermediateSize: 1 }));

interface PebbleParams {
  readonly words: { readonly weight: Tensor };
  readonly layers: readonly {
    readonly norm: { readonly weight: Tensor };
    readonly query: LinearParams;
    readonly key?: LinearParams;
    readonly value?: LinearParams;
    readonly out: LinearParams;
  }[];
}

function paramSpecs({ vocabSize, hiddenSize: d }: PebbleConfig): ParamSpec[] {
  const tower = 'language';
  return [
    { path: 'words.weight', shape: [vocabSize, d], role: 'table', tower, initial: { std: 0.5 } },
    ...layers.flatMap(({ numHeads, numKvHeads, headDim, kvFrom }, layer): ParamSpec[] => {
      const place = { tower, layer, block: layer };
      const linearOf = (name: string, shape: [number, number]): ParamSpec => {
        return { path: `layers.${layer}.${name}.weight`, shape, role: 'linear', ...place, initial: { std: 0.5 } };
      };
      return [
        { path: `layers.${layer}.norm.weight`, shape: [d], role: 'norm', ...place, initial: { value: 1 } },
        linearOf('query', [numHeads * headDim, d]),
        ...(kvFrom === layer
          ? [linearOf('key', [numKvHeads * headDim, d]), linearOf('value', [numKvHeads * headDim, d])]
          : []),
        linearOf('out', [d, numHeads * headDim]),
      ];
    }),
  ];
}

function forward(
  { words, layers: params }: PebbleParams,
  { inputIds, tokenInfo }: { inputIds: Tensor; tokenInfo: Tensor },
  { cache }: { cache?: KvCache } = {},
) {
  const [batch, length] = inputIds.shape as [number, number];
  const kept: { k: Tensor; v: Tensor }[] = [];
  const owned = new Map<number, { k: Tensor; v: Tensor }>();
  let h = embedding(words.weight, inputIds);
  for (const [i, { numHeads, numKvHeads, headDim, window, rope: turn, kvFrom }] of layers.entries()) {
    const { norm, query, key, value, out } = params[i]!;
    const x = rmsNorm(h, norm.weight, { eps: 1e-6 });
    const heads = (linearParams: LinearParams, count: number) =>
      reshape(linear(x, linearParams), [batch, length, count, headDim]);
    const q = rope(heads(query, numHeads), tokenInfo, turn);
    if (key && value) {
      let k = rope(heads(key, numKvHeads), tokenInfo, turn);
      let v = heads(value, numKvHeads);
      if (cache) {
        const before = cache.layers[kept.length]!;
        const row = [batch * length, numKvHeads * headDim];
        const stored = {
          k: scatterRows(before.k, cache.slots, reshape(k, row)),
          v: scatterRows(before.v, cache.slots, reshape(v, row)),
        };
        kept.push(stored);
        k = reshape(stored.k, [batch, -1, numKvHeads, headDim]);
        v = reshape(stored.v, [batch, -1, numKvHeads, headDim]);
      }
      owned.set(i, { k, v });
    }
    const { k, v } = owned.get(kvFrom)!;
    const rule = { scale: headDim ** -0.5, window: window ?? 0 };
    const seen = attention(q, k, v, tokenInfo, cache?.keyInfo ?? tokenInfo, rule);
    h = add(h, linear(reshape(seen, [batch, length, numHeads * headDim]), out));
  }
  return { hidden: h, cache: kept };
}

const paramsOf = (tree: ParamTree) => tree as unknown as PebbleParams;

function describe(config: PebbleConfig): Model<PebbleConfig> {
  return {
    config,
    name: 'Pebble',
    title: 'pebble',
    params: paramSpecs(config),
    layers,
    numBlocks: layers.length,
    hiddenSize: config.hiddenSize,
    vocabSize: config.vocabSize,
    maxPositionEmbeddings: 64,
    eosTokenIds: [1],
    prompt: {
      opening: () => [],
      encodePrompt: (prompt, tokenizer) => tokenizer.encode(prompt),
      isPrefixBidirectional: false,
      takesChat: false,
  chatTemplate: null,
      chatTemplateSource: null,
      needsPictures: false,
      rowExample: '{"prompt": "…", "completion": "…"}',
      stopTokens: () => [],
    },
    tokenizerFiles: [],
    embeddingPath: 'words.weight',
    parts: {},
    layouts: {
      safetensors: {
        id: 'pebble',
        rules: [
          { path: 'words.weight', name: 'wte.weight' },
          ...['norm', 'query', 'key', 'value', 'out'].map((name) => ({
            path: `layers.{i}.${name}.weight`,
            name: `h.{i}.${name}_proj.weight`,
          })),
        ],
        prefixes: [
          ['base_model.model.', ''],
          ['pebble.', ''],
        ],
        ignored: /^$/,
        tiedCopy: 'head.weight',
        exportName: (name) => `pebble.${name}`,
        pythonClass: () => ({ moduleName: (name) => `pebble.${name}`, hasOtherModules: false }),
      },
    },
    settings: { hiddenSize: config.hiddenSize },
    forward: (params, inputs, options) => forward(paramsOf(params), inputs, options),
    logits: (params, rows) => matmul(rows, paramsOf(params).words.weight, { transposeB: true }),
    tokenLosses: (params, rows, targets) => linearCrossEntropy(rows, paramsOf(params).words.weight, targets),
    toHf: () => ({ model_type: 'pebble', vocab_size: config.vocabSize, hidden_size: config.hiddenSize }),
  };
}

export const pebble = {
  id: 'pebble',
  presets: { small: { family: 'pebble', vocabSize: 40, hiddenSize: 12 } },
  linears: ['query', 'key', 'value', 'out'],
  towers: ['language'],
  hf: {
    modelTypes: ['pebble'],
    read(json) {
      const { vocab_size, hidden_size } = json as { readonly vocab_size: number; readonly hidden_size: number };
      return { family: 'pebble', vocabSize: vocab_size, hiddenSize: hidden_size };
    },
  },
  describe,
} as const satisfies ModelFamily<PebbleConfig>;
