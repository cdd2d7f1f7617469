// A family that no package knows: what somebody writes for an architecture of their own. Its layers differ in heads, window and base,
// and the second one attends to the keys and values of the first. With `rowWidth` each layer also adds what a second table has for the token:
// [words, layers · rowWidth], on the device or, as Gemma 4's, on the host.
import type {
  KvCache,
  LayerGeometry,
  Model,
  ModelConfig,
  ModelFamily,
  ModelInputs,
  ParamSpec,
  ParamTree,
} from '@lapidary/gemma';
import {
  add,
  attention,
  cast,
  embedding,
  linear,
  linearCrossEntropy,
  matmul,
  reshape,
  rmsNorm,
  rope,
  scatterRows,
  slice,
  type LinearParams,
  type Tensor,
} from '@lapidary/tensor';

export interface PebbleConfig extends ModelConfig {
  readonly family: 'pebble';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Values of a token that each layer reads. Default: no second table. */
  readonly rowWidth?: number;
  readonly isOnHost?: boolean;
}

const layers: readonly LayerGeometry[] = [
  { numHeads: 2, numKvHeads: 1, headDim: 8, window: null, rope: { theta: 1e4, scalingFactor: 1 }, kvFrom: 0 },
  { numHeads: 4, numKvHeads: 1, headDim: 8, window: null, rope: { theta: 1e4, scalingFactor: 1 }, kvFrom: 0 },
  { numHeads: 1, numKvHeads: 1, headDim: 16, window: 4, rope: { theta: 1e3, scalingFactor: 2 }, kvFrom: 2 },
].map((layer) => ({ ...layer, intermediateSize: 1 }));

interface PebbleParams {
  readonly words: { readonly weight: Tensor };
  readonly rows?: { readonly weight: Tensor };
  readonly layers: readonly {
    readonly norm: { readonly weight: Tensor };
    readonly query: LinearParams;
    readonly key?: LinearParams;
    readonly value?: LinearParams;
    readonly out: LinearParams;
    readonly gate?: LinearParams;
  }[];
}

function paramSpecs({ vocabSize, hiddenSize: d, rowWidth, isOnHost = false }: PebbleConfig): ParamSpec[] {
  const tower = 'language';
  const table = { role: 'table', tower, initial: { std: 0.5 } } as const;
  return [
    { path: 'words.weight', shape: [vocabSize, d], ...table },
    ...(rowWidth ? [{ path: 'rows.weight', shape: [vocabSize, layers.length * rowWidth], isOnHost, ...table }] : []),
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
        ...(rowWidth ? [linearOf('gate', [d, rowWidth])] : []),
      ];
    }),
  ];
}

function forward(
  { words, rows, layers: params }: PebbleParams,
  { inputIds, tokenInfo, hostRows }: ModelInputs,
  { cache }: { cache?: KvCache } = {},
) {
  const [batch, length] = inputIds.shape as [number, number];
  const kept: { k: Tensor; v: Tensor }[] = [];
  const owned = new Map<number, { k: Tensor; v: Tensor }>();
  let h = embedding(words.weight, inputIds);
  const ofTokens = hostRows
    ? cast(hostRows, 'f32')
    : rows && reshape(embedding(rows.weight, inputIds), [batch * length, -1]);
  for (const [i, { numHeads, numKvHeads, headDim, window, rope: turn, kvFrom }] of layers.entries()) {
    const { norm, query, key, value, out, gate } = params[i]!;
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
    if (gate && ofTokens) {
      const width = ofTokens.shape[1]! / layers.length;
      h = add(h, linear(reshape(slice(ofTokens, 1, i * width, (i + 1) * width), [batch, length, width]), gate));
    }
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
          { path: 'rows.weight', name: 'rows.weight' },
          ...['norm', 'query', 'key', 'value', 'out', 'gate'].map((name) => ({
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
      gguf: {
        id: 'pebble-gguf',
        rules: [
          { path: 'words.weight', name: 'token_embd.weight' },
          { path: 'rows.weight', name: 'rows.weight' },
          ...['norm', 'query', 'key', 'value', 'out', 'gate'].map((name) => ({
            path: `layers.{i}.${name}.weight`,
            name: `blk.{i}.${name}.weight`,
          })),
        ],
        prefixes: [],
        ignored: /^$/,
        tiedCopy: 'output.weight',
        exportName: (name) => name,
        pythonClass: () => ({ moduleName: (name) => name, hasOtherModules: false }),
      },
    },
    settings: { hiddenSize: config.hiddenSize },
    forward: (params, inputs, options) => forward(paramsOf(params), inputs, options),
    logits: (params, rows) => matmul(rows, paramsOf(params).words.weight, { transposeB: true }),
    tokenLosses: (params, rows, targets) => linearCrossEntropy(rows, paramsOf(params).words.weight, targets),
    toGguf: async () => ({
      'general.architecture': ['string', 'pebble'],
      'pebble.words': ['u32', config.vocabSize],
      'pebble.hidden': ['u32', config.hiddenSize],
      'pebble.row': ['u32', config.rowWidth ?? 0],
      'pebble.on_host': ['bool', config.isOnHost ?? false],
    }),
    toHf: () => ({
      model_type: 'pebble',
      vocab_size: config.vocabSize,
      hidden_size: config.hiddenSize,
      ...(config.rowWidth !== undefined && { row_width: config.rowWidth, is_on_host: config.isOnHost ?? false }),
    }),
  };
}

const small: PebbleConfig = { family: 'pebble', vocabSize: 40, hiddenSize: 12 };

export const pebble = {
  id: 'pebble',
  presets: { small },
  linears: ['query', 'key', 'value', 'out'],
  towers: ['language'],
  hf: {
    modelTypes: ['pebble'],
    read(json) {
      const { vocab_size, hidden_size, row_width, is_on_host } = json as {
        readonly vocab_size: number;
        readonly hidden_size: number;
        readonly row_width?: number;
        readonly is_on_host?: boolean;
      };
      const rows = row_width === undefined ? {} : { rowWidth: row_width, isOnHost: is_on_host === true };
      return { family: 'pebble', vocabSize: vocab_size, hiddenSize: hidden_size, ...rows };
    },
  },
  gguf: {
    architectures: ['pebble'],
    read(metadata) {
      const number = (key: string) => Number(metadata[`pebble.${key}`]);
      const rows =
        number('row') === 0 ? {} : { rowWidth: number('row'), isOnHost: metadata['pebble.on_host'] === true };
      return { family: 'pebble', vocabSize: number('words'), hiddenSize: number('hidden'), ...rows };
    },
  },
  describe,
} as const satisfies ModelFamily<PebbleConfig>;
