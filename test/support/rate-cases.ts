// Small runs of which a learning rate is to be found.
import type { Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  resolveTrainConfig,
  runTraining,
  type OptimizerType,
  type TrainConfig,
} from '@lapidary/trainer';
import { gemmaWeightLoader } from '@lapidary/weights';
import { chatModelSources } from './fixture-sources.js';

const rows = Array.from({ length: 24 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` }));

export const configOf = async (over: Partial<TrainConfig>) =>
  resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
    data: { source: rows },
    maxLength: 48,
    batchSize: 4,
    steps: 20,
    schedule: { type: 'constant', warmupSteps: 0 },
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });

/** The evaluation loss that a run at a rate ends with. */
export async function lossAt(
  gpu: Gpu,
  over: Partial<TrainConfig>,
  type: OptimizerType,
  learningRate: number,
): Promise<number> {
  const config = await configOf({ ...over, optimizer: { type, learningRate } });
  // A rate at which nothing is finite any more has learned nothing.
  return runTraining(config, { gpu, store: createMemoryStore() }).then(
    ({ finalEvalLoss }) => finalEvalLoss!,
    () => Infinity,
  );
}
