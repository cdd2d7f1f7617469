// Rows packed into one sequence are learned from as if each stood alone: losses, gradients, and what each token sees.
import { modelOf, paramTree } from '@lapidary/gemma';
import { type Gpu, openGpu } from '@lapidary/gpu';
import { embedding, evaluate, gradients, reshape, sum, variableFrom } from '@lapidary/tensor';
import {
  createMemoryStore,
  makeBatch,
  packExamples,
  readCheckpointState,
  readMetrics,
  ResumeMismatchError,
  resolveTrainConfig,
  runTraining,
  type CompletionExample,
  type TrainConfig,
} from '@lapidary/trainer';
import { gemmaWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { gemmaFixture } from './support/gemma-fixture.js';
import { sameBytes } from './support/same-bytes.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

function row(length: number, seed: number, vocabulary: number): CompletionExample {
  const tokens = Int32Array.from({ length }, (_, i) =>
    i === 0 ? 2 : 8 + ((seed * 31 + i * i * 7 + i * 13) % (vocabulary - 8)),
  );
  const lossMask = Uint8Array.from({ length }, (_, i) => (i > 1 ? 1 : 0));
  return { row: { text: '', line: seed }, length, patches: 0, tokens, lossMask, prefix: 0, pictures: undefined };
}

/** Longer than the windows of these models (4 and 5), and than a tile of any attention kernel. */
const lengths = [21, 9, 34, 2 + 1, 18, 40];

describe.each(['gemma2-tiny', 'gemma3-tiny'])('%s', (name) => {
  async function setUp() {
    const { config, variables } = await gemmaFixture(gpu, name);
    const model = modelOf(config);
    const rows = lengths.map((length, i) => row(length, i, config.vocabSize));
    /** Losses of every target, by row, and gradients of the sum. */
    const measure = async (examples: readonly CompletionExample[], withGradients = false) => {
      const { inputs, weight } = makeBatch(examples, [{ batch: examples.length, length: 64, targets: 160 }]);
      const i32 = (data: unknown, shape: number[]) =>
        variableFrom(gpu, data as Int32Array, shape, { dtype: 'i32' }).tensor;
      const b = examples.length;
      const params = paramTree(variables);
      const given = { inputIds: i32(inputs.inputIds, [b, 64]), tokenInfo: i32(inputs.tokenInfo, [b, 64, 4]) };
      const { hidden } = model.forward(params, given);
      const chosen = embedding(reshape(hidden, [-1, model.hiddenSize]), i32(inputs.rows, [160]));
      const { losses } = model.tokenLosses(params, chosen, i32(inputs.targets, [160]));
      const trained = [...variables.values()].map(({ tensor }) => tensor);
      const grads = withGradients ? gradients(sum(losses), trained).map((grad) => grad!) : [];
      const [found, ...gradient] = await evaluate(gpu, [losses, ...grads]);
      const documents = examples.flatMap((example) => example.documents ?? [example]);
      let at = 0;
      const byRow = new Map(
        documents.map(({ row: { line }, length }) => [line, [...found!.subarray(at, (at += length - 2))]] as const),
      );
      expect(weight).toBe(at);
      return { byRow, gradient };
    };
    return { rows, measure, paths: [...variables.keys()] };
  }

  it('losses of each row, and gradients of all, are those of rows apart', async () => {
    const { rows, measure, paths } = await setUp();
    const packed = packExamples(rows, { maxLength: 64, seed: 1 });
    expect(packed).toHaveLength(2);
    const [together, apart] = [await measure(packed, true), await measure(rows, true)];
    for (const [line, losses] of apart.byRow)
      losses.forEach((loss, t) =>
        expect(Math.abs(together.byRow.get(line)![t]! - loss), `row ${line}, target ${t}`).toBeLessThan(1e-5),
      );
    paths.forEach((path, i) => {
      const [a, b] = [together.gradient[i]!, apart.gradient[i]!];
      const difference = Math.hypot(...Array.from(a, (value, j) => value - b[j]!));
      expect(difference / Math.hypot(...b), path).toBeLessThan(1e-5);
    });
  });

  it('no token sees another row: whatever one holds, the losses of the others stay bit for bit', async () => {
    const { rows, measure } = await setUp();
    const packed = packExamples(rows, { maxLength: 64, seed: 1 });
    const before = (await measure(packed)).byRow;
    for (const { row: changedRow } of rows) {
      const changed = rows.map((each) =>
        each.row === changedRow ? { ...each, tokens: each.tokens.map((t, i) => (i === 1 ? t + 1 : t)) } : each,
      );
      const after = (await measure(packExamples(changed, { maxLength: 64, seed: 1 }))).byRow;
      for (const [line, losses] of before) {
        if (line === changedRow.line) expect(after.get(line), `row ${line} itself`).not.toEqual(losses);
        else expect(after.get(line), `row ${line} when ${changedRow.line} changes`).toEqual(losses);
      }
    }
  });
});

describe('a run', () => {
  const data = Array.from({ length: 30 }, (_, i) => ({
    prompt: `The lamp ${i}`,
    completion: ' by the river'.repeat(1 + (i % 3)),
  }));
  const config = async (over: Partial<TrainConfig> = {}) =>
    resolveTrainConfig({
      weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
      data: { source: data },
      evalFraction: 0.2,
      maxLength: 96,
      packing: true,
      batchSize: 2,
      steps: 4,
      optimizer: { learningRate: 5e-3 },
      schedule: { type: 'constant', warmupSteps: 0 },
      saveEvery: 2,
      keep: 9,
      sampleCount: 0,
      outDir: 'memory',
      ...over,
    });

  it('tells what it saves, counts rows, and evaluates the rows held out as without packing', async () => {
    const notices: string[] = [];
    const started: number[] = [];
    const logger = {
      onNotice: (notice: string) => void notices.push(notice),
      onStart: ({ trainRows }: { readonly trainRows: number }) => void started.push(trainRows),
    };
    const summary = await runTraining(await config(), { store: createMemoryStore(), gpu, logger });
    expect(notices.join('\n')).toMatch(
      /^data: 24 rows are packed into \d+ sequences of at most 96 tokens: padding is/m,
    );
    expect(started).toEqual([24]);
    const apart = await runTraining(await config({ packing: false }), { store: createMemoryStore(), gpu });
    expect(summary.baseEvalLoss).toBe(apart.baseEvalLoss);
    expect(summary.tokens).toBeGreaterThan(apart.tokens * 1.5);
  });

  it('resumes bit for bit, and only as it was begun', async () => {
    const whole = createMemoryStore();
    await runTraining(await config(), { store: whole, gpu });
    const parts = createMemoryStore();
    await runTraining(await config({ steps: 2 }), { store: parts, gpu });
    await runTraining(await config({ resume: true }), { store: parts, gpu });
    for (const name of ['adapter_model.safetensors'])
      expect(sameBytes(await whole.read(name), await parts.read(name))).toBe(true);
    const losses = async (store: typeof whole) => (await readMetrics(store)).map(({ loss }) => loss);
    expect(await losses(parts)).toEqual(await losses(whole));
    expect((await readCheckpointState(parts))?.step).toBe(4);
    for (const over of [{ packing: false }, { maxLength: 64 }])
      await expect(runTraining(await config({ resume: true, ...over }), { store: parts, gpu })).rejects.toThrow(
        ResumeMismatchError,
      );
  });
});
