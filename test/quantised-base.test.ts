// A base that is quantised while it is read: training, answers and exports over it.
import { initialParam, createRandom, modelOf, type GemmaConfig, type Model } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  ConfigError,
  createMemoryStore,
  exportCheckpoint,
  prepareRun,
  quantisedTypes,
  quantizeTypes,
  readText,
  ResumeMismatchError,
  resolveTrainConfig,
  runTraining,
  type FileStore,
  type QuantizeType,
  type TrainConfig,
} from '@lapidary/trainer';
import {
  bufferSource,
  type ByteSource,
  dequantise,
  encodeFloats,
  hfModelFiles,
  modelWeightLoader,
  openSafetensors,
  quantise,
} from '@lapidary/weights';
import { TextModel } from 'lapidary';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources, fixtureSources } from './support/fixture-sources.js';

const rows = Array.from({ length: 8 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` }));

/** A parameter's values, a little larger than those that training begins with: so that losses tell quantised bases apart. */
type Values = ReadonlyMap<string, Float32Array>;

let gpu: Gpu;
let tokenizer: readonly ByteSource[];
let model: Model;
let published: Values;

beforeAll(async () => {
  const sources = await chatModelSources();
  tokenizer = sources.filter(({ name }) => name.startsWith('tokenizer'));
  const opened = await modelWeightLoader<GemmaConfig>({ from: sources }).open();
  // A Gemma 3 of two layers, whose rows are whole blocks of every type.
  const sizes = { hiddenSize: 64, intermediateSize: 128, numLayers: 2, layerTypes: ['local', 'global'] } as const;
  model = modelOf({ ...opened.config, ...sizes });
  await opened.close();
  const random = createRandom(7);
  published = new Map(
    model.params.map((spec) => {
      const values = initialParam(spec, spec.shape, random).map((value) => (spec.shape.length > 1 ? 4 : 1) * value);
      return [spec.path, dequantise('bf16', encodeFloats(values, 'bf16'))];
    }),
  );
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

async function files(values: Values, dtype: 'bf16' | 'f32'): Promise<ByteSource[]> {
  const params = new Map(
    model.params.map(({ path, shape }) => [path, { dtype, shape, bytes: encodeFloats(values.get(path)!, dtype) }]),
  );
  const sources = Object.entries(hfModelFiles(model, params)).map(async ([name, content]) => {
    const pieces = [];
    for await (const piece of content instanceof Uint8Array ? [content] : content) pieces.push(piece);
    return bufferSource(name, await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  });
  return [...(await Promise.all(sources)), ...tokenizer];
}

/** What is quantised, and as what. */
const typeOf = (path: string, quantize: QuantizeType): QuantizeType | null => {
  if (path === model.embeddingPath) return 'q8_0';
  return model.params.find((spec) => spec.path === path)!.role === 'linear' ? quantize : null;
};

/** The same model with every value that it has once it was quantised. */
const dequantised = (quantize: QuantizeType): Values =>
  new Map(
    [...published].map(([path, values]) => {
      const type = typeOf(path, quantize);
      return [path, type === null ? values : dequantise(type, quantise(type, values))];
    }),
  );

const config = async (from: readonly ByteSource[], over: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({
    weightLoader: modelWeightLoader({ from }),
    data: { source: rows },
    evalFraction: 0,
    maxLength: 32,
    batchSize: 2,
    steps: 20,
    lora: { rank: 4, alpha: 8 },
    optimizer: { learningRate: 5e-3 },
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });

async function losses(store: FileStore): Promise<number[]> {
  const lines = (await readText(store, 'metrics.jsonl')).trim().split('\n');
  return lines.map((line) => (JSON.parse(line) as { loss: number }).loss);
}

/** The losses of 20 steps. */
async function trained(from: readonly ByteSource[], quantize: QuantizeType | null = null): Promise<number[]> {
  const store = createMemoryStore();
  await runTraining(await config(from, { quantize }), { store, gpu });
  return losses(store);
}

let unquantised: Promise<number[]> | undefined;

it.each(quantizeTypes)('%s: 20 steps as over the dequantised base', async (quantize) => {
  const found = await trained(await files(published, 'bf16'), quantize);
  const expected = await trained(await files(dequantised(quantize), 'f32'));
  unquantised ??= trained(await files(published, 'bf16'));
  const away = (values: number[]) => Math.max(...found.map((loss, i) => Math.abs(loss - values[i]!)));
  expect(found).toHaveLength(20);
  expect(found.at(-1)!).toBeLessThan(found[0]! - 0.5);
  expect(away(expected)).toBeLessThan(1e-4);
  expect(away(await unquantised)).toBeGreaterThan(1e-3);
});

it('a run that goes on is the one that was begun, bit for bit, and quantised alike', async () => {
  const from = await files(published, 'bf16');
  const [whole, parted] = [createMemoryStore(), createMemoryStore()];
  const run = (over: Partial<TrainConfig>, store: FileStore) =>
    config(from, {
      steps: 4,
      saveEvery: 2,
      quantize: 'q4_0',
      schedule: { type: 'constant', warmupSteps: 0 },
      ...over,
    }).then((resolved) => runTraining(resolved, { store, gpu }));
  await run({}, whole);
  await run({ steps: 2 }, parted);
  await expect(run({ resume: true, quantize: 'q8_0' }, parted)).rejects.toThrow(ResumeMismatchError);
  await expect(run({ resume: true, quantize: null }, parted)).rejects.toThrow(/quantize/);
  await run({ resume: true }, parted);
  const adapter = (store: FileStore) => store.read('adapter_model.safetensors');
  expect(await adapter(parted)).toEqual(await adapter(whole));
});

it('its adapter goes over the published weights, and is merged with those', async () => {
  const from = await files(published, 'bf16');
  const [store, merged] = [createMemoryStore(), createMemoryStore()];
  const weightLoader = modelWeightLoader({ from });
  await runTraining(await config(from, { steps: 2, quantize: 'q4_0' }), { store, gpu });
  const adapter = [];
  for (const name of ['adapter_config.json', 'adapter_model.safetensors'])
    adapter.push(bufferSource(name, await store.read(name)));
  // Bases are told apart by what is in their files, so that nothing is told of an adapter over either form.
  for (const quantize of [null, 'q4_0'] as const) {
    const notices: string[] = [];
    const opened = await TextModel.open(weightLoader, {
      adapter,
      gpu,
      quantize,
      onNotice: (text) => void notices.push(text),
    });
    expect(opened.params()).toBeDefined();
    opened.destroy();
    expect(notices.join()).not.toMatch(/trained over/);
  }
  await exportCheckpoint({ run: store, out: merged, form: { to: 'merged' }, openBase: () => weightLoader });
  const file = await openSafetensors(bufferSource('model.safetensors', await merged.read('model.safetensors')));
  const norm = file.tensors.get('model.norm.weight')!;
  expect(norm.type).toBe('BF16');
  // What no adapter changes is what was published, not what was trained over.
  const table = file.tensors.get('model.embed_tokens.weight')!;
  const bytes = await table.source.read(table.offset, table.byteLength);
  expect(bytes).toEqual(encodeFloats(published.get(model.embeddingPath)!, 'bf16'));
});

it('memory is planned as it is then taken, and answers are made over a quantised base', async () => {
  const from = await files(published, 'bf16');
  const bytes = async (quantize: QuantizeType | null) => {
    const prepared = await prepareRun(await config(from, { quantize }), gpu);
    await prepared.close();
    return new Map(prepared.plan.memory.map((entry) => [entry.category, entry.bytes]));
  };
  const [plain, quantised] = [await bytes(null), await bytes('q4_0')];
  const values = (isWanted: (path: string) => boolean) =>
    [...published].reduce((sum, [path, { length }]) => sum + (isWanted(path) ? length : 0), 0);
  const [words, linears] = [
    values((path) => typeOf(path, 'q4_0') === 'q8_0'),
    values((path) => typeOf(path, 'q4_0') === 'q4_0'),
  ];
  expect(quantised.get('Weights, quantised')).toBe((words / 32) * 34 + (linears / 32) * 18);
  expect(quantised.get('Weights, as published')! + 2 * (words + linears)).toBe(plain.get('Weights, as published'));

  const [first, second] = await Promise.all(
    [{ from, quantize: 'q4_0' as const }, { from: await files(dequantised('q4_0'), 'f32') }].map(
      async ({ from: place, ...options }) => {
        const opened = await TextModel.open(modelWeightLoader({ from: place }), { gpu, ...options });
        const logits = await opened.nextLogits('The lamp');
        opened.destroy();
        return logits;
      },
    ),
  );
  expect(Math.max(...first!.map((value, i) => Math.abs(value - second![i]!)))).toBeLessThan(1e-4);
});

it.each<[string, Partial<TrainConfig>, RegExp]>([
  ['all parameters', { lora: null }, /quantize: found 'q8_0' without a LoRA/],
  ['another type', { quantize: 'q4_k' as QuantizeType }, /quantize: found 'q4_k'/],
])('%s: refused', async (_, over, message) => {
  const refused = config([], { quantize: 'q8_0', ...over });
  await expect(refused).rejects.toThrow(ConfigError);
  await expect(refused).rejects.toThrow(message);
});

it('a base in blocks already, and one of no whole blocks, are refused by name; what is trained whole is not quantised', async () => {
  const gguf = modelWeightLoader({ from: await fixtureSources('gguf/gemma3-tiny-q8_0.gguf') });
  const open = () => TextModel.open(gguf, { gpu, quantize: 'q4_0' });
  await expect(open()).rejects.toThrow(/quantize: found 'q4_0' with a base that is quantised already \(\S+ is q8_0\)/);
  const params = model.params.map((spec) => ({ ...spec, shape: [...spec.shape.slice(0, -1), 28] }));
  const narrow = () => quantisedTypes({ ...model, params }, { quantize: 'q4_0', storedOf: () => 'bf16' });
  expect(narrow).toThrow(/none of whose frozen matrices/);
  const from = await files(published, 'bf16');
  const saved = { rank: 2, modulesToSave: ['embedTokens', '**.downProj'] };
  const prepared = await prepareRun(await config(from, { quantize: 'q8_0', lora: saved }), gpu);
  await prepared.close();
  const kept = (path: string) => prepared.model.variables.get(path)!.type.dtype;
  expect(kept(model.embeddingPath)).toBe('f32');
  expect(kept('layers.0.mlp.downProj.weight')).toBe('f32');
  expect(kept('layers.0.mlp.upProj.weight')).toBe('q8_0');
});

it('values that no scale can hold are refused by the name of their tensor', async () => {
  const path = 'layers.1.attn.qProj.weight';
  const large = new Map(published).set(path, published.get(path)!.with(5, 2 ** 30));
  const opening = TextModel.open(modelWeightLoader({ from: await files(large, 'f32') }), { gpu, quantize: 'q8_0' });
  await expect(opening).rejects.toThrow(/q_proj\.weight.*too large for q8_0/);
});
