// Whole runs on a tiny model: what they write, that resuming is exact, and that bad input ends in a typed error.
import { Gpu, openGpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  DatasetError,
  DiskFullError,
  EmptyDatasetError,
  NonFiniteLossError,
  openModel,
  readCheckpointState,
  readText,
  ResumeMismatchError,
  resolveTrainConfig,
  runTraining,
  type SampleRecord,
  TrainingInterruptedError,
  type FileStore,
  type TrainConfig,
} from '@lapidary/trainer';
import { TextModel } from 'lapidary';
import { bufferSource, gemmaWeightLoader, openSafetensors, type StoredTensor } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources, fixtureSources } from './support/fixture-sources.js';
import { sameBytes } from './support/same-bytes.js';

const model = async (name?: string) => gemmaWeightLoader({ from: await chatModelSources(name) });

const rows = Array.from({ length: 12 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` }));

async function config(over: Partial<TrainConfig> = {}) {
  return resolveTrainConfig({
    weightLoader: await model(),
    data: { source: rows },
    evalFraction: 0.2,
    maxLength: 48,
    batchSize: 2,
    steps: 6,
    lora: { rank: 4, alpha: 8, dropout: 0.1 },
    optimizer: { learningRate: 5e-3 },
    schedule: { type: 'constant', warmupSteps: 0 },
    evalEvery: 3,
    saveEvery: 2,
    sampleCount: 1,
    sampleTokens: 4,
    outDir: 'memory',
    ...over,
  });
}

// A new device compiles and checks its kernels for longer than most runs here take: they share one, and must leave it empty.
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

// The one run here that opens a device of its own.
it('writes adapter, metrics, summary and report; planned memory is what was allocated', async () => {
  const store = createMemoryStore();
  const summary = await runTraining(await config(), { store });
  const names = (await store.list()).map((f) => f.name);
  for (const name of [
    'adapter_config.json',
    'adapter_model.safetensors',
    'metrics.jsonl',
    'summary.json',
    'report.html',
  ])
    expect(names).toContain(name);
  expect(Math.abs(summary.peakBytesAllocated / summary.peakBytesPlanned - 1)).toBeLessThan(0.02);
  const metrics = (await readText(store, 'metrics.jsonl'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { loss: number });
  expect(metrics).toHaveLength(6);
  expect(metrics.at(-1)!.loss).toBeLessThan(metrics[0]!.loss);
});

it.each<[string, TrainConfig['lora']]>([
  ['a LoRA', {}],
  [
    'a DoRA of several ranks',
    { dora: true, rankPattern: { kProj: 2, 'layers.0.mlp.*': 5 }, alphaPattern: { oProj: 4 } },
  ],
  ['a LoRA beside modules trained whole', { rslora: true, modulesToSave: ['embedTokens', '**Norm', '**.downProj'] }],
])('a model with the adapter that was written answers as the trained one did: %s', async (_, lora) => {
  const store = createMemoryStore();
  const samples: SampleRecord[] = [];
  await runTraining(await config({ steps: 40, sampleTokens: 12, lora }), {
    store,
    gpu,
    logger: { onSample: (sample) => void samples.push(sample) },
  });
  const [before, after] = [samples[0]!, samples.at(-1)!];
  expect(after.answer).not.toBe(before.answer);
  const files = ['adapter_config.json', 'adapter_model.safetensors'];
  const adapter = await Promise.all(files.map(async (name) => bufferSource(name, await store.read(name))));
  const textOf = async (model: TextModel, stop: readonly string[] = []) => {
    let text = '';
    for await (const part of model.answer(before.prompt, { maxNewTokens: 12, stop })) text += part;
    model.destroy();
    return text;
  };
  expect(await textOf(await TextModel.open(await model(), { gpu }))).toBe(before.answer);
  expect(await textOf(await TextModel.open(await model(), { gpu, adapter }))).toBe(after.answer);
  const stop = after.answer.slice(4, 7);
  const stopped = await textOf(await TextModel.open(await model(), { gpu, adapter }), [stop]);
  expect(stopped).toBe(after.answer.slice(0, after.answer.indexOf(stop)));
});

it('needs after 300 steps the memory that it needed after 2, evaluations, samples and checkpoints included', async () => {
  const before = { ...gpu.counters };
  const held: { buffers: number; bytes: number; bindGroups: number; pipelines: number; rss: number }[] = [];
  await runTraining(await config({ steps: 300, evalEvery: 100, saveEvery: 100, sampleEvery: 100 }), {
    store: createMemoryStore(),
    gpu,
    logger: {
      onStep: () => {
        const { buffers, bytes, bindGroups } = gpu.counters;
        // Pages are not told what they take.
        const rss = globalThis.process?.memoryUsage?.().rss ?? 0;
        held.push({ buffers, bytes, bindGroups, pipelines: gpu.pipelines.created, rss });
      },
    },
  });
  expect(held).toHaveLength(300);
  const [second, last] = [held[1]!, held[299]!];
  // Steps make nothing at all; samples make a generator's programs and give them back.
  for (let i = 2; i < 99; i++) expect({ ...held[i]!, rss: 0 }).toEqual({ ...second, rss: 0 });
  expect(last.bytes).toBe(second.bytes);
  expect(gpu.counters.bytes).toBe(before.bytes);
  if (last.rss > 0)
    console.log(
      `process memory after 2, 99, 300 steps: ${[1, 98, 299].map((i) => Math.round(held[i]!.rss / 2 ** 20))} MiB`,
    );
});

it.each<Partial<TrainConfig>>([
  {},
  { gradientAccumulation: 2 },
  { lora: { dora: true, rankPattern: { kProj: 2 }, modulesToSave: ['embedTokens', '**Norm'] } },
])('resumes bit for bit: 6 steps = 2 steps, a stop, 4 more (%o)', async (over) => {
  const whole = createMemoryStore();
  await runTraining(await config(over), { store: whole, gpu });
  const parts = createMemoryStore();
  const stop = new AbortController();
  const interrupted = runTraining(await config(over), {
    store: parts,
    gpu,
    signal: stop.signal,
    logger: {
      onStep: ({ step }) => {
        if (step === 2) stop.abort();
      },
    },
  });
  await expect(interrupted).rejects.toThrow(TrainingInterruptedError);
  await runTraining(await config({ ...over, resume: true }), { store: parts, gpu });
  const adapter = (store: FileStore) => store.read('adapter_model.safetensors');
  expect(sameBytes(await adapter(whole), await adapter(parts))).toBe(true);
});

it('goes on with the kernels that it began with, whichever are chosen by now', async () => {
  const kernelsOf = async (store: FileStore) =>
    (await readCheckpointState(store))?.state as unknown as { kernels: { choices: Record<string, string> } };
  const byRule = createMemoryStore();
  const mode = { kernelTuning: 'never' } as const;
  await runTraining(await config({ ...mode, steps: 1 }), { store: byRule, gpu });
  const { choices } = (await kernelsOf(byRule)).kernels;
  // One product, not too narrow for any variant, by another than the rule's.
  const [key, variant] = Object.entries(choices).find(
    ([product]) => Math.min(...product.match(/\d+/g)!.map(Number)) > 8,
  )!;
  const chosen = { ...choices, [key]: variant === 'plain' ? 'plain16' : 'plain' };
  const store = createMemoryStore();
  const other = new Gpu(gpu.device, { ...gpu.profile, kernelChoices: new Map(Object.entries(chosen)) });
  await runTraining(await config({ ...mode, steps: 1 }), { store, gpu: other });
  expect((await kernelsOf(store)).kernels.choices).toEqual(chosen);
  const again = new Gpu(gpu.device, { ...gpu.profile });
  await runTraining(await config({ ...mode, steps: 2, resume: true }), { store, gpu: again });
  expect((await readCheckpointState(store))?.step).toBe(2);
  expect((await kernelsOf(store)).kernels.choices).toEqual(chosen);
  // The device's own profile is as it was: others may plan at the same time.
  expect(again.profile.kernelChoices).toBeUndefined();
});

it("trains every parameter and exports the model in Hugging Face's form", async () => {
  const store = createMemoryStore();
  await runTraining(await config({ lora: null }), { store, gpu });
  const again = await gemmaWeightLoader({
    from: [
      bufferSource('config.json', await store.read('config.json')),
      bufferSource('model.safetensors', await store.read('model.safetensors')),
    ],
  }).open();
  expect(again.config.family).toBe('gemma3');
  await again.close();
});

it('trains a part of a bf16 model: what is frozen is exported bit for bit, at 2 bytes each', async () => {
  const store = createMemoryStore();
  await runTraining(
    await config({
      weightLoader: await model('gemma3-tiny-bf16'),
      lora: null,
      trainable: ['layers.*.attn.qProj.weight'],
    }),
    { store, gpu },
  );
  const file = async (name: string) => openSafetensors(bufferSource(name, await store.read(name)));
  const exported = await file('model.safetensors');
  const [weights] = await fixtureSources('models/gemma3-tiny-bf16/model.safetensors');
  const published = await openSafetensors(weights!);
  const read = ({ source, offset, byteLength }: StoredTensor) => source.read(offset, byteLength);
  let frozen = 0;
  for (const [name, tensor] of published.tensors) {
    const found = exported.tensors.get(name)!;
    const trained = name.endsWith('q_proj.weight');
    expect(found.type, name).toBe(trained ? 'F32' : 'BF16');
    if (trained) continue;
    expect(sameBytes(await read(found), await read(tensor)), name).toBe(true);
    frozen++;
  }
  expect(frozen).toBeGreaterThan(60);
  expect(JSON.parse(await readText(store, 'config.json'))).toMatchObject({ dtype: 'float32' });
});

it.each(['adapter_model.safetensors', 'metrics.jsonl', 'report.html', 'summary.json', 'checkpoints/step-00000004'])(
  'a disk that is full when %s is written: a typed error, the earlier checkpoint whole, and a run that can go on',
  async (full) => {
    const whole = createMemoryStore();
    await runTraining(await config(), { store: whole, gpu });
    const disk = createMemoryStore();
    let appended = 0;
    const check = (name: string) => {
      // The metrics fill the disk with their fourth line, when two steps are saved.
      if (name.startsWith(full) && (name !== 'metrics.jsonl' || appended++ === 4))
        throw new DiskFullError({ path: name, bytes: 1 });
    };
    const filling: FileStore = {
      ...disk,
      write: async (name, content) => {
        check(name);
        await disk.write(name, content);
      },
      append: async (name, content) => {
        check(name);
        await disk.append(name, content);
      },
    };
    await expect(runTraining(await config(), { store: filling, gpu })).rejects.toThrow(DiskFullError);
    expect((await disk.list()).some(({ name }) => name.startsWith(full) && name !== 'metrics.jsonl')).toBe(false);
    await runTraining(await config({ resume: true }), { store: disk, gpu });
    const adapter = (store: FileStore) => store.read('adapter_model.safetensors');
    expect(sameBytes(await adapter(whole), await adapter(disk))).toBe(true);
  },
);

it.each(['Loading weights', 'Compiling', 'a sample'])(
  'stopped at %s, before the first step: a typed error, nothing left',
  async (at) => {
    const store = createMemoryStore();
    const stop = new AbortController();
    const run = runTraining(await config(), {
      store,
      gpu,
      signal: stop.signal,
      logger: {
        onPhase: ({ name }) => {
          if (name === at) stop.abort();
        },
        onSample: () => stop.abort(),
      },
    });
    await expect(run).rejects.toMatchObject({ name: 'TrainingInterruptedError', step: 0, checkpoint: null });
    expect(gpu.counters.bytes).toBe(0);
    // What is left is not in the way of the next run.
    await runTraining(await config({ steps: 1 }), { store, gpu });
  },
);

it('a run that goes on and is stopped before a step says what it has, whatever the signal carries', async () => {
  const store = createMemoryStore();
  const schedule = { type: 'constant', warmupSteps: 1 } as const;
  await runTraining(await config({ steps: 2, schedule }), { store, gpu });
  const stop = new AbortController();
  const reason = new Error('the tab was closed');
  const logger = { onPhase: ({ name }: { readonly name: string }) => name === 'Loading weights' && stop.abort(reason) };
  const run = runTraining(await config({ steps: 4, resume: true, schedule }), {
    store,
    gpu,
    signal: stop.signal,
    logger: { onPhase: (phase) => void logger.onPhase(phase) },
  });
  await expect(run).rejects.toMatchObject({ name: 'TrainingInterruptedError', step: 2, checkpoint: 'checkpoint 2' });
});

it('a logger that fails while weights are loaded ends the run with its error', async () => {
  const failure = new Error('the disk is full');
  const run = runTraining(await config(), {
    store: createMemoryStore(),
    gpu,
    logger: {
      onPhase: ({ name, done }) => {
        if (name === 'Loading weights' && (done ?? 0) > 0) throw failure;
      },
    },
  });
  await expect(run).rejects.toBe(failure);
  expect(gpu.counters.bytes).toBe(0);
});

it('a loss that is not finite stops the run and says so', async () => {
  const run = runTraining(await config({ optimizer: { learningRate: 1e30 } }), { store: createMemoryStore(), gpu });
  await expect(run).rejects.toThrow(NonFiniteLossError);
});

it.each([
  [
    'malformed JSON',
    '{"prompt": "a", "completion": "b"}\n{"prompt": "a" "completion"}\n',
    /data\.jsonl:2:\d+: .*JSON/,
    DatasetError,
  ],
  ['a wrong field', '{"prompt": "a", "completion": 3}\n', /data\.jsonl:1: field 'completion'/, DatasetError],
  ['an unknown form', '{"question": "a"}\n', /data\.jsonl:1: .*prompt, completion/, DatasetError],
  ['nothing', '\n\n', /no rows/, EmptyDatasetError],
  [
    'a row longer than the context',
    `{"prompt": "${'lamp '.repeat(100)}", "completion": "x"}\n`.repeat(2),
    /data\.jsonl:\d: .*maxLength is 48/,
    DatasetError,
  ],
])('bad data: %s', async (_name, text, message, type) => {
  const store = createMemoryStore();
  const source = new File([text], 'data.jsonl');
  const run = async () => runTraining(await config({ data: { source } }), { store, gpu });
  await expect(run()).rejects.toThrow(message);
  await expect(run()).rejects.toBeInstanceOf(type);
  expect((await store.list()).filter(({ name }) => name !== 'run.json')).toEqual([]);
});

it('does not go on with other weights than it began with, whatever they are called', async () => {
  const store = createMemoryStore();
  await runTraining(await config({ steps: 2 }), { store, gpu });
  const before = (await store.list()).map(({ name }) => name);
  const sources = await chatModelSources();
  const weights = Uint8Array.from(await sources[1]!.read(0, sources[1]!.size));
  const { tensors } = await openSafetensors(bufferSource('model.safetensors', weights));
  const { offset } = tensors.get('model.layers.1.mlp.down_proj.weight')!;
  // In the middle of it: every byte counts.
  weights[offset + 1000] = weights[offset + 1000]! ^ 1;
  const other = gemmaWeightLoader({ from: sources.with(1, bufferSource('model.safetensors', weights)) });
  const schedule = { type: 'constant', warmupSteps: 0 } as const;
  const resumed = runTraining(await config({ weightLoader: other, steps: 4, schedule, resume: true }), { store, gpu });
  await expect(resumed).rejects.toThrow(ResumeMismatchError);
  await expect(resumed).rejects.toThrow(/weights: saved "4:[0-9a-f]{16}", now "4:[0-9a-f]{16}"/);
  expect((await store.list()).map(({ name }) => name)).toEqual(before);
});

it('takes a tokenizer that is at hand instead of reading one', async () => {
  const sources = await chatModelSources();
  const { tokenizer } = await openModel(gemmaWeightLoader({ from: sources }));
  const bare = gemmaWeightLoader({ from: sources.slice(0, 2) });
  await expect(openModel(bare)).rejects.toThrow(/no tokenizer beside the weights/);
  const { samples, logger } = {
    samples: [] as SampleRecord[],
    logger: { onSample: (s: SampleRecord) => void samples.push(s) },
  };
  await runTraining(await config({ weightLoader: { ...bare, tokenizer }, steps: 1 }), {
    store: createMemoryStore(),
    gpu,
    logger,
  });
  expect(samples[0]!.prompt).toMatch(/^The lamp/);
});
