import {
  createMemoryStore,
  exportTrl,
  resolveTrainConfig,
  runTraining,
  type FileStore,
  type TrainConfig,
} from '@lapidary/trainer';
import type { Gpu } from '@lapidary/gpu';
import { gemmaWeightLoader, peftAdapterLoader, type AdapterLoader } from '@lapidary/weights';
import { adapterSources, chatModelSources, fixtureSources } from './fixture-sources.js';

/** A run that TRL has made too (test/fixtures/trl/<name>). */
export interface TrlCase {
  readonly name: string;
  readonly config: Partial<TrainConfig>;
  /** The folder of the adapter that it goes on from. */
  readonly adapter?: string;
  /** The GGUF that it is trained on. Default: `trlBase`. */
  readonly gguf?: string;
}

export const trlBase = 'models/gemma3-tiny';
export const trlSteps = 20;

const flows = (i: number) => ` by the river ${'flows '.repeat(i % 4)}${i % 3}`;
const completions = Array.from({ length: 11 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: flows(i) }));
const conversations = Array.from({ length: 10 }, (_, i) => ({
  messages: ['The lamp', flows(i), `by ${i}`, 'The river'].map((content, turn) => ({
    role: turn % 2 === 0 ? 'user' : 'assistant',
    content,
  })),
}));

export const trlCases: readonly TrlCase[] = [
  {
    // The third step of each epoch has two rows, not four.
    name: 'fresh',
    config: {
      data: { source: completions },
      evalFraction: 0.1,
      gradientAccumulation: 2,
      lora: { rank: 4, alpha: 8, modulesToSave: ['**Norm'] },
      schedule: { type: 'cosine', warmupSteps: 3 },
    },
  },
  {
    name: 'continued',
    adapter: 'continued/dora/adapter',
    config: {
      data: { source: conversations, lossOn: 'last' },
      evalFraction: 0,
      schedule: { type: 'linear', warmupSteps: 0 },
      optimizer: { learningRate: 5e-3, betas: [0.8, 0.99], clipGradNorm: 0.5 },
      seed: 7,
    },
  },
  {
    // What transformers reads of the file itself are other frequencies and another scale of queries.
    name: 'gguf',
    gguf: 'gguf/gemma3-tiny-q8_0.gguf',
    config: {
      data: { source: completions },
      evalFraction: 0,
      lora: { rank: 3, alpha: 8, rslora: true, targets: ['qProj', 'vProj', 'downProj'] },
      schedule: { type: 'cosine', warmupSteps: 2 },
    },
  },
];

async function loaders({
  adapter,
  gguf,
}: TrlCase): Promise<{ weightLoader: ReturnType<typeof gemmaWeightLoader>; start?: AdapterLoader }> {
  const from = gguf === undefined ? await chatModelSources() : await fixtureSources(gguf);
  const weightLoader = { ...gemmaWeightLoader({ from }), description: gguf ?? trlBase };
  return { weightLoader, ...(adapter && { start: peftAdapterLoader({ from: await adapterSources(adapter) }) }) };
}

/** Trains as far as `steps`. */
export async function trainTrlCase(trlCase: TrlCase, gpu?: Gpu, over: Partial<TrainConfig> = {}) {
  const { weightLoader, start } = await loaders(trlCase);
  const store = createMemoryStore();
  const steps: { loss: number; gradNorm: number }[] = [];
  const config = resolveTrainConfig({
    weightLoader,
    ...(start && { adapter: start }),
    data: { source: [] },
    maxLength: 96,
    batchSize: 2,
    steps: trlSteps,
    optimizer: { learningRate: 1e-2, weightDecay: 0.01 },
    sampleCount: 0,
    evalEvery: trlSteps,
    outDir: 'memory',
    ...trlCase.config,
    ...over,
  });
  const onStep = ({ loss, gradNorm }: { loss: number; gradNorm: number }) => void steps.push({ loss, gradNorm });
  await runTraining(config, { store, logger: { onStep }, ...(gpu && { gpu }) });
  return { store, steps };
}

export async function exportTrlCase(trlCase: TrlCase, run: FileStore, out: FileStore, step?: number | 'best') {
  const { weightLoader, start } = await loaders(trlCase);
  return exportTrl({ run, out, step, openBase: () => weightLoader, ...(start && { openAdapter: () => start }) });
}
