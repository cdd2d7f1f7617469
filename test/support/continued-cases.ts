import {
  epochOrder,
  loadOne,
  prepareRun,
  resolveTrainConfig,
  type CompletionExample,
  type StoredExample,
  type TrainConfig,
} from '@lapidary/trainer';
import { gemmaWeightLoader, peftAdapterLoader } from '@lapidary/weights';
import { adapterSources, chatModelSources } from './fixture-sources.js';

/** Adapters that PEFT wrote over gemma3-tiny, trained already, by the name of what PyTorch makes of them (test/fixtures/continued). */
export const continuedCases = {
  lora: 'curves/gemma3-tiny/lora/final',
  rslora: 'curves/gemma3-tiny/rslora/final',
  dora: 'continued/dora/adapter',
  saved: 'curves/gemma3-tiny/saved/final',
  patterns: 'adapters/patterns',
  'patterns-rslora': 'adapters/patterns-rslora',
  'some-layers': 'adapters/some-layers',
} as const;

export type ContinuedCase = keyof typeof continuedCases;

export const continuedSteps = 20;

/** Cases whose adapter, as we leave it after all steps, PEFT has loaded again (test/fixtures/continued/<name>/exported). */
export const exportedCases = ['lora', 'rslora', 'dora', 'saved', 'patterns-rslora', 'some-layers'] as const;
/** Whose last logits PEFT then has. */
export const exportedPrompt = 'The lamp 4 by the river flows';
export const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors'] as const;

/** A run that goes on from one of them. */
export async function continuedConfig(name: ContinuedCase, over: Partial<TrainConfig> = {}) {
  return resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
    adapter: peftAdapterLoader({ from: await adapterSources(continuedCases[name]) }),
    data: {
      source: Array.from({ length: 9 }, (_, i) => ({
        prompt: `The lamp ${i}`,
        completion: ` by the river ${'flows '.repeat(i % 4)}${i % 3}`,
      })),
    },
    evalFraction: 0,
    maxLength: 48,
    batchSize: 2,
    gradientAccumulation: 2,
    steps: continuedSteps,
    optimizer: { learningRate: 1e-2, betas: [0.9, 0.95], weightDecay: 0.01 },
    schedule: { type: 'constant', warmupSteps: 0 },
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });
}

/** The rows of each step: their tokens, and which of them are learned. */
export async function continuedRows(): Promise<{ readonly tokens: number[]; readonly learned: number[] }[][]> {
  const prepared = await prepareRun(await continuedConfig('lora'), null);
  const { config, data, schedule } = prepared;
  const rows: CompletionExample[] = [];
  for (const example of data.train as readonly (CompletionExample | StoredExample)[]) rows.push(await loadOne(example));
  const perStep = config.batchSize * config.gradientAccumulation;
  await prepared.close();
  return Array.from({ length: continuedSteps }, (_, step) => {
    const order = epochOrder(rows.length, config.seed, Math.floor(step / schedule.stepsPerEpoch));
    const first = (step % schedule.stepsPerEpoch) * perStep;
    return [...order.subarray(first, first + perStep)].map((n) => ({
      tokens: [...rows[n]!.tokens],
      learned: [...rows[n]!.lossMask],
    }));
  });
}
