// Two runs of one page on one folder of the private file system.
import {
  openOpfsStore,
  readText,
  resolveTrainConfig,
  RunInUseError,
  runTraining,
  type TrainConfig,
} from '@lapidary/trainer';
import { gemmaWeightLoader } from '@lapidary/weights';
import { expect, it } from 'vitest';
import { chatModelSources } from '../support/fixture-sources.js';

const sources = await chatModelSources();
const rows = Array.from({ length: 4 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` }));

const config = (over: Partial<TrainConfig>) =>
  resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: sources }),
    data: { source: rows },
    evalFraction: 0,
    schedule: { type: 'constant', warmupSteps: 0 },
    maxLength: 48,
    batchSize: 2,
    steps: 2,
    sampleCount: 0,
    ...over,
  });

it('the second run is refused while the first is at work, and leaves it alone; then it goes on', async () => {
  const outDir = `runs/two-${Date.now()}`;
  const store = await openOpfsStore(outDir);
  const refused: unknown[] = [];
  const first = await runTraining(config({ outDir }), {
    logger: {
      onStep: async () => {
        const before = await store.list();
        // Had it been let in, it would have begun by removing what is there.
        refused.push(await runTraining(config({ outDir, overwrite: true })).catch((error: unknown) => error));
        expect(await store.list()).toEqual(before);
      },
    },
  });
  expect(refused).toHaveLength(2);
  for (const error of refused) {
    expect(error).toBeInstanceOf(RunInUseError);
    expect((error as Error).message).toContain(`opfs:/${outDir}`);
  }
  expect(first.steps).toBe(2);
  const second = await runTraining(config({ outDir, resume: true, steps: 3 }));
  expect(second.steps).toBe(3);
  expect((await readText(store, 'metrics.jsonl')).trim().split('\n')).toHaveLength(3);
});

it('runs in two folders do not wait for each other', async () => {
  const [one, other] = ['one', 'other'].map((name) => `runs/${name}-${Date.now()}`) as [string, string];
  const within: number[] = [];
  await runTraining(config({ outDir: one, steps: 1 }), {
    logger: {
      onStep: async () => void within.push((await runTraining(config({ outDir: other, steps: 1 }))).steps),
    },
  });
  expect(within).toEqual([1]);
});
