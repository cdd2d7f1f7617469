// EmbeddingGemma, both of them, against sentence-transformers in f32, on random checkpoints that it wrote (test/fixtures/embeddings).
import { paramTree, type Tokenizer } from '@lapidary/gemma';
import { type Gpu, openGpu } from '@lapidary/gpu';
import {
  evaluate,
  gradients,
  linearCrossEntropy,
  mul,
  reshape,
  sum,
  type Tensor,
  variableFrom,
} from '@lapidary/tensor';
import { bufferSource, modelWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddingFiles } from './support/embedding-fixture.js';
import { loadEmbedding, fixtureBatch } from './support/embedding-model.js';
import { relativeError } from './support/relative-error.js';
import { fixtureJson, fixtureTensors, type FixtureTensor } from './support/safetensors-fixture.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

interface Reference {
  readonly queries: readonly string[];
  readonly documents: readonly string[];
  readonly window_in_memory: number;
  readonly max_seq_length: number;
}

const i32 = (data: ArrayLike<number>, shape: readonly number[]) =>
  variableFrom(gpu, Int32Array.from(data), shape, { dtype: 'i32' }).tensor;

/** The name of a parameter in the fixture, written down again here so that tests do not rest on the loader's tables. */
function torchName(name: string, path: string): string {
  const names: Record<string, string> = {
    embedTokens: 'embed_tokens',
    finalNorm: 'norm',
    inputNorm: 'input_layernorm',
    postAttnNorm: 'post_attention_layernorm',
    preMlpNorm: 'pre_feedforward_layernorm',
    postMlpNorm: 'post_feedforward_layernorm',
    attn: 'self_attn',
    perLayerInput: 'ple_block',
    perLayerInputGate: 'per_layer_input_gate',
    perLayerProjection: 'per_layer_projection',
    postNorm: 'post_per_layer_input_norm',
  };
  const ofSecond: Record<string, string> = {
    'perLayerInputs.perLayerModelProjection.weight': 'ple.per_layer_model_projection.weight',
    'perLayerInputs.norm.weight': 'ple.per_layer_projection_norm.weight',
    'head.0.dense.weight': 'embedding_projection.weight',
  };
  if (name === 'second' && path in ofSecond) return ofSecond[path]!;
  const head = /^head\.(\d+)\.dense\.weight$/.exec(path);
  if (head) return `${Number(head[1]) + 2}.linear.weight`;
  return path
    .split('.')
    .map((part) => names[part] ?? part.replace(/(Proj|Norm)$/, (end) => `_${end.toLowerCase()}`))
    .join('.');
}

const encode = (tokenizer: Tokenizer, prompt: string, texts: readonly string[]) =>
  texts.map((text) => tokenizer.encode(prompt + text));

describe.each(['odd', 'old', 'second'])('%s', (name) => {
  it('reads what the files say, and encodes texts as sentence-transformers does', async () => {
    const { model, tokenizer } = await loadEmbedding(gpu, await embeddingFiles(name));
    const reference = await fixtureJson<Reference>(`embeddings/${name}/reference.json`);
    const tensors = await fixtureTensors(`embeddings/${name}/reference.safetensors`);
    const windows = model.layers.flatMap(({ window }) => window ?? []);
    // The second says how far the farthest token is that is seen, the first what is just out of sight.
    const window = reference.window_in_memory + (name === 'second' ? 1 : 0);
    expect(windows).toEqual([window, window]);
    expect(model.maxPositionEmbeddings).toBe(reference.max_seq_length);
    const { prompts } = model.embedding!;
    for (const [side, texts] of [
      ['query', reference.queries],
      ['document', reference.documents],
    ] as const) {
      const ids = tensors.get(`${side}.input_ids`)!;
      const tokens = ids.shape[1]!;
      encode(tokenizer, prompts[side]!, texts).forEach((found, row) => {
        const expected = Array.from(ids.data.slice(row * tokens, row * tokens + found.length));
        expect(found).toEqual(expected);
        expect([found[0], found.at(-1)]).toEqual([tokenizer.bosId, tokenizer.eosId]);
      });
    }
  });

  it('has the vectors, the contrastive loss and every gradient of sentence-transformers', async () => {
    const { model, variables } = await loadEmbedding(gpu, await embeddingFiles(name));
    const reference = await fixtureTensors(`embeddings/${name}/reference.safetensors`);
    const params = paramTree(variables);
    const side = (which: string, options: { gradientCheckpointing?: boolean | number }): Tensor => {
      const { inputs, tokenWeights } = fixtureBatch(
        gpu,
        reference.get(`${which}.input_ids`)!,
        reference.get(`${which}.attention_mask`)!,
      );
      return model.embedding!.embed(params, model.forward(params, inputs, options).hidden, tokenWeights);
    };
    const paths = model.params.flatMap(({ path, isConstant }) => (isConstant ? [] : [path]));
    for (const gradientCheckpointing of [false, 2]) {
      const queries = side('query', { gradientCheckpointing });
      const documents = side('document', { gradientCheckpointing });
      const count = queries.shape[0]!;
      const targets = i32(
        Array.from({ length: count }, (_, i) => i),
        [count],
      );
      const { losses } = linearCrossEntropy(mul(queries, 20), documents, targets);
      const loss = reshape(mul(sum(losses), 1 / count), []);
      const grads = gradients(
        loss,
        paths.map((path) => variables.get(path)!.tensor),
      );
      const [ourQueries, ourDocuments, ourLoss, ...ours] = await evaluate(gpu, [
        queries,
        documents,
        loss,
        ...grads.map((grad) => grad!),
      ]);
      expect(relativeError(ourQueries!, reference.get('query')!.data)).toBeLessThan(1e-5);
      expect(relativeError(ourDocuments!, reference.get('document')!.data)).toBeLessThan(1e-5);
      expect(Math.abs(ourLoss![0]! - reference.get('loss')!.data[0]!)).toBeLessThan(1e-5 * ourLoss![0]!);
      paths.forEach((path, i) => {
        const expected = reference.get(`grad.${torchName(name, path)}`)!.data;
        const norm = Math.hypot(...expected);
        const difference = Math.hypot(...Array.from(expected, (e, j) => ours[i]![j]! - e));
        expect(difference / norm, `gradient of ${path}`).toBeLessThan(1e-4);
      });
    }
  });
});

it.each(['odd', 'second'])('gives a row the same vector, however far it is padded: %s', async (name) => {
  const { model, variables } = await loadEmbedding(gpu, await embeddingFiles(name));
  const reference = await fixtureTensors(`embeddings/${name}/reference.safetensors`);
  const params = paramTree(variables);
  const padded = (key: string, by: number, filler: number): FixtureTensor => {
    const { data, shape, ...tensor } = reference.get(key)!;
    const [rows, tokens] = shape as [number, number];
    const values = Array.from({ length: rows }, (_, row) => [
      ...data.slice(row * tokens, (row + 1) * tokens),
      ...Array.from({ length: by }, () => filler),
    ]).flat();
    return { ...tensor, data: Int32Array.from(values), shape: [rows, tokens + by] };
  };
  const { inputs, tokenWeights } = fixtureBatch(
    gpu,
    padded('query.input_ids', 9, 77),
    padded('query.attention_mask', 9, 0),
  );
  const [found] = await evaluate(gpu, [
    model.embedding!.embed(params, model.forward(params, inputs).hidden, tokenWeights),
  ]);
  expect(relativeError(found!, reference.get('query')!.data)).toBeLessThan(1e-5);
});

it('reads the text model of an EmbeddingGemma 2 with towers', async () => {
  const weights = await modelWeightLoader({ from: await embeddingFiles('second-whole') }).open();
  expect(weights.config.family).toBe('embeddinggemma2');
  const [alone, among] = await Promise.all(
    ['second', 'second-whole'].map(async (name) => {
      const { model, variables } = await loadEmbedding(gpu, await embeddingFiles(name));
      const values = await evaluate(
        gpu,
        [...variables.values()].map(({ tensor }) => tensor),
      );
      return { config: model.config, values };
    }),
  );
  expect(among).toEqual(alone);
  expect(weights.passedOn.map(({ name }) => name.split('.')[0])).toEqual(
    expect.arrayContaining(['vision_tower', 'audio_tower', 'embed_vision', 'embed_audio']),
  );
});

it('is found by its files, without being told which family it is', async () => {
  const weights = await modelWeightLoader({ from: await embeddingFiles('odd') }).open();
  expect(weights.config.family).toBe('embeddinggemma');
});

it('refuses a text model without a head', async () => {
  const files = await embeddingFiles('odd');
  const alone = files.filter(({ name }) => !/\/|modules/.test(name)).map((file) => bufferSourceOf(file));
  await expect(modelWeightLoader({ from: await Promise.all(alone) }).open()).rejects.toThrow(
    /modules\.json is missing, but an EmbeddingGemma is a whole folder of sentence-transformers/,
  );
});

async function bufferSourceOf(file: {
  name: string;
  size: number;
  read(at: number, length: number): Promise<Uint8Array>;
}) {
  return bufferSource(file.name, await file.read(0, file.size));
}
