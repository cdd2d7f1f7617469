// Whole runs on pairs of preferences: what they learn and tell, memory, resuming, pictures.
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  readText,
  resolveTrainConfig,
  runTraining,
  type EvalRecord,
  type SampleRecord,
  type StepRecord,
  type TrainConfig,
} from '@lapidary/trainer';
import { gemmaWeightLoader, paliGemmaWeightLoader } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { pictureNamingFiles } from './support/picture-naming.js';
import { sameBytes } from './support/same-bytes.js';
import { fixtureBytes } from './support/safetensors-fixture.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

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

function recorder() {
  const steps: StepRecord[] = [];
  const evals: EvalRecord[] = [];
  const samples: SampleRecord[] = [];
  const logger = {
    onStep: (record: StepRecord) => void steps.push(record),
    onEval: (record: EvalRecord) => void evals.push(record),
    onSample: (sample: SampleRecord) => void samples.push(sample),
  };
  return { steps, evals, samples, logger };
}

it.each([{}, { gradientAccumulation: 2 }, { gradientCheckpointing: true, emaDecay: 0.5 }])(
  'learns, evaluates, answers samples, keeps to its plan, and resumes bit for bit (%o)',
  async (over) => {
    const whole = createMemoryStore();
    const { steps, evals, samples, logger } = recorder();
    const summary = await runTraining(await config(over), { store: whole, gpu, logger });
    expect(evals[0]!.loss).toBeCloseTo(Math.log(2), 5);
    expect(evals.at(-1)!.loss).toBeLessThan(evals[0]!.loss);
    expect(evals.at(-1)!.metrics!['rewards/accuracy']).toBe(1);
    expect(steps.at(-1)!.metrics!['rewards/margin']).toBeGreaterThan(0);
    expect(samples[0]!.expected).toBe(' by the river');
    expect(Math.abs(summary.peakBytesAllocated / summary.peakBytesPlanned - 1)).toBeLessThan(0.02);
    const parts = createMemoryStore();
    await runTraining(await config({ ...over, steps: 2 }), { store: parts, gpu });
    await runTraining(await config({ ...over, resume: true }), { store: parts, gpu });
    const adapter = 'adapter_model.safetensors';
    expect(sameBytes(await whole.read(adapter), await parts.read(adapter))).toBe(true);
    expect(JSON.parse(await readText(whole, 'run.json'))).toMatchObject({ rows: 'completion' });
  },
);

it('pairs of conversations: the adapter is prompted in the chat template', async () => {
  const user = { role: 'user', content: 'Where is the lamp?' };
  const answer = (content: string) => ({ role: 'assistant', content });
  const source = [1, 2, 3, 4].map((n) => ({
    chosen: [user, answer(`By the river ${n}`)],
    rejected: [user, answer(`Nobody knows ${n}`)],
  }));
  const store = createMemoryStore();
  const { samples, evals, logger } = recorder();
  await runTraining(await config({ data: { source } }), { store, gpu, logger });
  expect(JSON.parse(await readText(store, 'run.json'))).toMatchObject({ rows: 'messages' });
  expect(samples[0]!.expected).toMatch(/^By the river/);
  expect(samples[0]!.prompt).not.toMatch(/river/);
  expect(evals.at(-1)!.loss).toBeLessThan(evals[0]!.loss);
});

it('pairs with pictures', async () => {
  const image = await fixtureBytes('images/rgb.png');
  const grey = await fixtureBytes('images/grey.png');
  const source = [
    { image, prompt: 'name', chosen: 'red', rejected: 'grey' },
    { image: grey, prompt: 'name', chosen: 'grey', rejected: 'red' },
  ];
  const { evals, logger } = recorder();
  const run = await config({
    weightLoader: { description: 'tiny', ...paliGemmaWeightLoader({ from: await pictureNamingFiles() }) },
    data: { source },
    evalData: { source },
    evalFraction: undefined,
    maxLength: 16,
    steps: 12,
    optimizer: { learningRate: 5e-3 },
  });
  await runTraining(run, { store: createMemoryStore(), gpu, logger });
  expect(evals[0]!.loss).toBeCloseTo(Math.log(2), 5);
  // What is right for one picture is wrong for the other: only who sees them can learn it.
  expect(evals.at(-1)!.metrics!['rewards/accuracy']).toBe(1);
});
