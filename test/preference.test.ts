// Pairs of preferences against TRL's DPOTrainer (test/fixtures/preference): tokens, 20 AdamW steps of each loss, rewards.
import { loraSpecs, modelOf, paramTree, tokenizerFromJson } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { Program, Variable } from '@lapidary/tensor';
import {
  bindPreference,
  ConfigError,
  createMemoryStore,
  DatasetError,
  EmptyDatasetError,
  parsePreferenceRow,
  planStep,
  preferenceShapes,
  resolveTrainConfig,
  runTraining,
  type PreferenceSettings,
  type StepProgram,
  type TrainConfig,
} from '@lapidary/trainer';
import { gemmaWeightLoader, readPeftAdapter } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterSources, chatModelSources } from './support/fixture-sources.js';
import { gemmaFixture } from './support/gemma-fixture.js';
import { fixtureJson } from './support/safetensors-fixture.js';
import { adamwHyper, allocateKept, stepModel } from './support/step-model.js';

interface Curve extends PreferenceSettings {
  readonly batchSize: number;
  readonly loss: readonly number[];
  readonly gradNorm: readonly number[];
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
  readonly accuracy: readonly number[];
  readonly margin: readonly number[];
}
interface Fixture {
  readonly optimizer: { readonly learningRate: number };
  readonly pairs: readonly {
    readonly prompt: string;
    readonly chosen: string;
    readonly rejected: string;
    readonly promptIds: readonly number[];
    readonly chosenIds: readonly number[];
    readonly rejectedIds: readonly number[];
  }[];
  readonly runs: Readonly<Record<string, Curve>>;
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const fixture = await fixtureJson<Fixture>('preference/gemma3-tiny.json');
const tokenizer = await tokenizerFromJson(
  await fixtureJson('tokenizer/tokenizer.json'),
  await fixtureJson('tokenizer/tokenizer_config.json'),
);
const usual: PreferenceSettings = { beta: 0.1, lossType: 'sigmoid', labelSmoothing: 0 };
const options = { lossOn: 'completion', tooLong: 'error' } as const;

/** Objective and base on the device. */
async function setUp(settings: PreferenceSettings, batchSize: number, maxLength = 48) {
  const { config, variables } = await gemmaFixture(gpu, 'gemma3-tiny');
  const model = modelOf(config);
  const limits = {
    maxLength,
    batchSize,
    packing: false,
    seed: 0,
    sampleCount: 0,
    sampleTokens: 0,
    imagePreset: null,
  };
  const task = bindPreference(model, { settings, limits, weightFormat: 'safetensors' });
  const encode = (rows: readonly object[], over: Partial<Record<'tooLong' | 'lossOn', string>> = {}) => {
    const parsed = rows.map((row, i) => parsePreferenceRow(row, 'pairs.jsonl', i + 1));
    const source = { rows: parsed, file: 'pairs.jsonl', options: { ...options, ...(over as object) } };
    const readImage = () => Promise.reject(new Error('there are no pictures'));
    return task.encode(source, { ...source, rows: [] }, { tokenizer, readImage });
  };
  return { model, variables, task, encode };
}

it('pairs have the tokens that TRL gives them', async () => {
  const { encode } = await setUp(usual, 2);
  const { train, notices } = await encode(
    fixture.pairs.map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected })),
  );
  expect(notices).toEqual([]);
  expect(train.map((pair) => [...pair.tokens])).toEqual(
    fixture.pairs.map(({ promptIds, chosenIds }) => [...promptIds, ...chosenIds]),
  );
  expect(train.map(({ rejected }) => [...rejected.tokens])).toEqual(
    fixture.pairs.map(({ promptIds, rejectedIds }) => [...promptIds, ...rejectedIds]),
  );
  for (const [i, { lossMask, rejected }] of train.entries())
    for (const mask of [lossMask, rejected.lossMask])
      expect([...mask].indexOf(1)).toBe(fixture.pairs[i]!.promptIds.length);
});

describe.each(Object.keys(fixture.runs))('%s', (name) => {
  it('20 steps have the losses, rewards and gradients of TRL', async () => {
    const curve = fixture.runs[name]!;
    const { batchSize, lossType, beta, labelSmoothing } = curve;
    const { model, variables, task, encode } = await setUp({ lossType, beta, labelSmoothing }, batchSize);
    const { train } = await encode(fixture.pairs.map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected })));
    const reference = paramTree(new Map(variables));
    const adapter = await readPeftAdapter(await adapterSources('curves/gemma3-tiny/lora/initial'), { model });
    const trained = new Map<string, Variable>();
    const lora = { rank: 4, alpha: 8, overrideOf: (linear: string) => adapter.updates.get(linear)! };
    for (const [path, { shape }] of loraSpecs(model.params, lora)) {
      const variable = new Variable(path, { shape, dtype: 'f32' }, 'trainable').allocate(gpu);
      variable.write(adapter.tensors.get(path)!);
      variables.set(path, variable);
      trained.set(path, variable);
    }
    const step = { ...stepModel(model, variables, trained, { updates: adapter.updates }), task, reference };
    allocateKept(gpu, step);
    const shapes = preferenceShapes(train, { rows: batchSize, maxLength: 48, tokensPerImage: 1 });
    const programs = new Map<string, StepProgram>();
    const { learningRate } = fixture.optimizer;
    const fixed = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01, clipNorm: 1, learningRate };
    for (let n = 0; n < 20; n++) {
      const first = (n * batchSize) % train.length;
      const { shape, inputs, weight } = await task.collate(train.slice(first, first + batchSize), shapes);
      const key = JSON.stringify(shape);
      const program = programs.get(key) ?? (await Program.create(gpu, planStep(gpu.profile, step, shape)));
      programs.set(key, program);
      program.run({
        ...inputs,
        weight: Float32Array.of(1 / weight),
        hyper: adamwHyper({ ...fixed, step: n + 1 }),
      });
      const read = async (output: Parameters<typeof program.read>[0]) => (await program.read(output))[0]!;
      const close = (found: number, expected: number, what: string) =>
        expect(Math.abs(found - expected), `${what} of step ${n}: ${found}, TRL's ${expected}`).toBeLessThan(1e-4);
      close(await read('loss'), curve.loss[n]!, 'loss');
      for (const reward of ['chosen', 'rejected', 'accuracy', 'margin'] as const)
        close(await read(`metrics.rewards/${reward}`), curve[reward][n]!, `reward ${reward}`);
      const norm = Math.sqrt(await read('gradNormSquared'));
      expect(Math.abs(norm / curve.gradNorm[n]! - 1), `gradient norm of step ${n}`).toBeLessThan(1e-3);
    }
    for (const program of programs.values()) program.destroy();
  });
});

it('a batch that is not full has the loss of its pairs', async () => {
  const { task, encode } = await setUp(usual, 3);
  const { train } = await encode(fixture.pairs.slice(0, 2));
  const { shape, inputs, weight } = await task.collate(
    train,
    preferenceShapes(train, { rows: 3, maxLength: 48, tokensPerImage: 1 }),
  );
  expect(shape.batch).toBe(6);
  expect(weight).toBe(2);
  expect([...(inputs.pairs as Float32Array)]).toEqual([1, 1, 0]);
  expect([...(inputs.lengths as Float32Array)].slice(4)).toEqual([1, 1]);
});

describe('rows', () => {
  const user = (content: string) => ({ role: 'user', content });
  const assistant = (content: string) => ({ role: 'assistant', content });
  const learned = async (row: object) => {
    const { encode } = await setUp(usual, 1, 64);
    const { train } = await encode([row]);
    const text = ({ tokens, lossMask }: { tokens: Int32Array; lossMask: Uint8Array }) =>
      tokenizer.decode([...tokens.filter((_, i) => lossMask[i] === 1)], { skipSpecialTokens: false });
    return [text(train[0]!), text(train[0]!.rejected)];
  };

  it.each([
    ['texts', { prompt: 'a', chosen: ' b', rejected: ' c' }, [' b<eos>', ' c<eos>']],
    [
      'messages',
      { prompt: [user('a')], chosen: [assistant('b')], rejected: [assistant('c')] },
      ['b<end_of_turn>', 'c<end_of_turn>'],
    ],
    [
      'a prompt of messages and answers of text',
      { prompt: [user('a')], chosen: 'b', rejected: 'c' },
      ['b<end_of_turn>', 'c<end_of_turn>'],
    ],
    [
      'whole conversations',
      { chosen: [user('a'), assistant('b')], rejected: [user('a'), assistant('c')] },
      ['b<end_of_turn>', 'c<end_of_turn>'],
    ],
    [
      'whole conversations of several turns: what both say counts for nothing',
      {
        chosen: [user('a'), assistant('same'), user('b'), assistant('c')],
        rejected: [user('a'), assistant('same'), user('b'), assistant('d')],
      },
      ['c<end_of_turn>', 'd<end_of_turn>'],
    ],
  ])('%s', async (_, row, expected) => expect(await learned(row)).toEqual(expected));

  it.each([
    ['no answer', { prompt: 'a', chosen: 'b' }, /^pairs\.jsonl:1: .*needs 'rejected'/],
    ['a row of completions', { prompt: 'a', completion: 'b' }, /needs 'chosen' and 'rejected'/],
    [
      'a completion beside',
      { prompt: 'a', completion: 'b', chosen: 'b', rejected: 'c' },
      /'chosen' and 'rejected' alone/,
    ],
    ['a number', { prompt: 'a', chosen: 3, rejected: 'c' }, /field 'chosen': must be a text or a list/],
    ['text and messages', { prompt: 'a', chosen: 'b', rejected: [assistant('c')] }, /both be texts, or both lists/],
    ['texts without a prompt', { chosen: 'a b', rejected: 'a c' }, /needs a 'prompt'/],
    [
      'nothing in common',
      { chosen: [user('a'), assistant('b')], rejected: [user('c'), assistant('b')] },
      /do not begin with the same message/,
    ],
    [
      'a broken message',
      { prompt: [user('a')], chosen: [assistant('b')], rejected: [{ role: 'robot', content: 'c' }] },
      /field 'messages\.1\.role'.*'rejected'/,
    ],
    ['no object', ['a'], /a row must be an object/],
  ])('%s is refused by line and field', (_, row, message) => {
    expect(() => parsePreferenceRow(row, 'pairs.jsonl', 1)).toThrow(DatasetError);
    expect(() => parsePreferenceRow(row, 'pairs.jsonl', 1)).toThrow(message);
  });

  it('answers that are the same, or too long, leave their pair out and are told; none left is an error', async () => {
    const { encode } = await setUp(usual, 1);
    const rows = [
      { prompt: 'a', chosen: ' b', rejected: ' c' },
      { prompt: 'a', chosen: ' b', rejected: ' b' },
      { prompt: 'a', chosen: ' b', rejected: ' c'.repeat(60) },
    ];
    const { train, notices } = await encode(rows, { tooLong: 'skip' });
    expect(train).toHaveLength(1);
    expect(notices.join('\n')).toMatch(/1 pair was left out, since one/);
    expect(notices.join('\n')).toMatch(/1 pair was left out: both answers are the same/);
    await expect(encode([rows[1]!])).rejects.toThrow(EmptyDatasetError);
    await expect(encode(rows, { lossOn: 'all' })).rejects.toThrow(ConfigError);
  });
});

describe('a run', () => {
  const pairs = Array.from({ length: 10 }, (_, i) => ({
    prompt: `The lamp ${i}`,
    chosen: ' by the river',
    rejected: ` nobody knows${' where'.repeat(i % 3)}`,
  }));
  const config = async (over: Partial<TrainConfig> = {}) =>
    resolveTrainConfig({
      weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
      data: { source: pairs },
      objective: { type: 'dpo' },
      evalFraction: 0.2,
      maxLength: 48,
      batchSize: 2,
      steps: 6,
      lora: { rank: 4, alpha: 8 },
      optimizer: { learningRate: 2e-3 },
      schedule: { type: 'constant', warmupSteps: 0 },
      evalEvery: 3,
      saveEvery: 2,
      sampleCount: 1,
      sampleTokens: 4,
      outDir: 'memory',
      ...over,
    });

  it.each([
    ['no LoRA', { lora: null }, /lora: found null with objective 'dpo'/],
    ['modules trained whole', { lora: { modulesToSave: ['**Norm'] } }, /lora\.modulesToSave: found .*no second copy/],
    ['packing', { packing: true }, /packing: found true with objective 'dpo'/],
    ['no number', { objective: { type: 'dpo', beta: 0 } }, /objective\.beta: found 0; allowed: a number above 0/],
    [
      'another loss',
      { objective: { type: 'dpo', lossType: 'kto' } },
      /objective\.lossType: found 'kto'.*'sigmoid', 'ipo', 'hinge'/,
    ],
  ])('%s is refused before anything is opened', async (_, over, message) => {
    const refused = config(over as Partial<TrainConfig>);
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(message);
  });

  it('label smoothing with a loss that has none is refused', async () => {
    const over = { objective: { type: 'dpo', lossType: 'ipo', labelSmoothing: 0.1 } } as const;
    await expect(runTraining(await config(over), { store: createMemoryStore(), gpu })).rejects.toThrow(
      /objective\.labelSmoothing: found 0\.1 with lossType 'ipo'/,
    );
  });
});
