// Texts as vectors, by a small model.
import { Embedder, EmbeddingError, IllFormedTextError, type EmbedderOptions } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { TextModel } from 'lapidary';
import { gemmaWeightLoader, modelWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { meanFamily } from './support/mean-model.js';

let gpu: Gpu;
let model: TextModel;
beforeAll(async () => {
  gpu = await openGpu();
  model = await TextModel.open(modelWeightLoader({ from: await chatModelSources(), families: [meanFamily] }), { gpu });
});
afterAll(() => {
  model.destroy();
  gpu.destroy();
});

const embedderOf = (options?: EmbedderOptions) =>
  new Embedder(gpu, { model: model.model, params: model.params(), tokenizer: model.tokenizer }, options);
const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const texts = [
  'the lamp',
  'a river that goes by the old house and is seen by nobody',
  'the',
  'the lamp',
  'ha '.repeat(30),
];

it('gives each text the vector it has alone, in order and of unit length', async () => {
  const embedder = embedderOf({ batchSize: 2 });
  const { vectors, cut } = await embedder.embed(texts);
  expect(cut).toBe(0);
  for (const [i, text] of texts.entries()) {
    const alone = (await embedder.embed([text])).vectors[0]!;
    expect(dot(alone, vectors[i]!)).toBeCloseTo(1, 5);
    expect(dot(alone, alone)).toBeCloseTo(1, 6);
  }
  expect([...vectors[3]!]).toEqual([...vectors[0]!]);
  expect(dot(vectors[0]!, vectors[4]!)).toBeLessThan(0.999);
  await embedder.destroy();
});

it('puts a prompt before texts, by name or as it stands', async () => {
  const embedder = embedderOf();
  const [plain, named, given] = await Promise.all([
    embedder.embed(['q: the lamp']),
    embedder.embed(['the lamp'], { prompt: 'query' }),
    embedder.embed(['lamp'], { prompt: 'q: the ' }),
  ]);
  expect([...named.vectors[0]!]).toEqual([...plain.vectors[0]!]);
  expect([...given.vectors[0]!]).toEqual([...plain.vectors[0]!]);
  await embedder.destroy();
});

it('cuts vectors to sizes of the model, and texts to a length, and says so', async () => {
  const embedder = embedderOf({ maxLength: 20 });
  const [size] = model.model.embedding!.sizes;
  const [whole, half] = await Promise.all([
    embedder.embed(['the lamp']),
    embedder.embed(['the lamp'], { size: size / 2 }),
  ]);
  const cut = whole.vectors[0]!.slice(0, size / 2);
  const norm = Math.hypot(...cut);
  half.vectors[0]!.forEach((value, i) => expect(value).toBeCloseTo(cut[i]! / norm, 5));
  await expect(embedder.embed(['a'], { size: 7 })).rejects.toThrow(EmbeddingError);
  await expect(embedder.embed(['a'], { prompt: 'qurey' })).rejects.toThrow(
    /called 'qurey'; there are query, document, other/,
  );
  await expect(embedder.embed(texts, { tooLong: 'error' })).rejects.toThrow(
    /text 2 has \d+ tokens, and at most 20 are taken/,
  );
  const long = await embedder.embed(texts);
  expect(long.cut).toBeGreaterThan(0);
  expect(long.tokens).toBeGreaterThan(20 * long.cut);
  expect(embedder.maxLength).toBe(20);
  await embedder.destroy();
});

it('refuses what it cannot do, and stops when told', async () => {
  const other = await TextModel.open(gemmaWeightLoader({ from: await chatModelSources() }), { gpu });
  const answers = { model: other.model, params: other.params(), tokenizer: other.tokenizer };
  expect(() => new Embedder(gpu, answers)).toThrow(/makes no vectors/);
  other.destroy();
  expect(() => embedderOf({ maxLength: 1e6 })).toThrow(EmbeddingError);
  expect(() => embedderOf({ batchSize: 0 })).toThrow(RangeError);
  const embedder = embedderOf({ batchSize: 1 });
  await expect(embedder.embed(['\ud800'])).rejects.toThrow(IllFormedTextError);
  const stop = new AbortController();
  const stopped = embedder.embed(texts, { signal: stop.signal, onProgress: () => stop.abort() });
  await expect(stopped).rejects.toThrow(/abort/i);
  await embedder.destroy();
});
