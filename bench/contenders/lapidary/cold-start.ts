import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Tokenizer } from '@lapidary/gemma';
import { createMemoryStore, resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { gemmaWeightLoader, type OpenedWeights, type WeightSink } from '@lapidary/weights';
import { gemmaShape } from '../gemma-weights.js';
import type { Op, StartTimes } from '../protocol.js';
import { modelFolder } from './model-folder.js';
import { openBenchGpu } from './open-bench-gpu.js';

/** What the process of one start is told. */
interface Start {
  readonly folder: string;
  readonly tokens: number;
  readonly rank: number;
  /** 0: as fast as they come. */
  readonly megabytesPerSecond: number;
}

/** Drivers keep what they have compiled on disk: Mesa's and NVIDIA's find an empty folder. */
const nothingCompiled = (folder: string) => ({ MESA_SHADER_CACHE_DIR: folder, __GL_SHADER_DISK_CACHE_PATH: folder });

export const startOps: Record<string, Op> = {
  /** A LoRA run of two steps from a folder, by @lapidary/trainer, in a process of its own. */
  async coldStart(params) {
    const shape = gemmaShape(params);
    const { rank, megabytesPerSecond } = params as { rank: number; megabytesPerSecond: number };
    const folder = await modelFolder(shape);
    const start: Start = { folder, tokens: shape.tokens, rank, megabytesPerSecond };
    const runs: StartTimes[] = [];
    return {
      async run() {
        const [program] = process.argv.slice(1);
        const caches = await mkdtemp(join(tmpdir(), 'lapidary-cold-'));
        const { stdout } = await promisify(execFile)(
          process.execPath,
          [...process.execArgv, program!, JSON.stringify(start)],
          { env: { ...process.env, ...nothingCompiled(caches) } },
        ).finally(() => rm(caches, { recursive: true, force: true }));
        runs.push(JSON.parse(stdout.trim().split('\n').at(-1)!) as StartTimes);
      },
      async result() {
        const mean = (of: keyof StartTimes) => runs.reduce((sum, run) => sum + run[of], 0) / runs.length;
        return [mean('loadingMs'), mean('firstStepMs'), mean('secondStepMs')];
      },
      drop: () => rm(folder, { recursive: true, force: true }),
    };
  },
};

/** A token a character: what the text says does not matter. */
const tokenizer: Tokenizer = {
  vocabSize: 256,
  bosId: 2,
  eosId: 1,
  padId: 0,
  encode: (text, { addSpecialTokens = true } = {}) => [
    ...(addSpecialTokens ? [2] : []),
    ...[...text].map((character) => character.charCodeAt(0)),
  ],
  decode: (ids) => String.fromCharCode(...ids),
  tokenId: () => undefined,
};

/** Weights that come no faster than a connection brings them. */
function slowed(sink: WeightSink, { megabytesPerSecond }: Start): WeightSink {
  if (megabytesPerSecond === 0) return sink;
  const began = performance.now();
  let bytes = 0;
  return {
    ...sink,
    async write(path, offset, part) {
      await sink.write(path, offset, part);
      bytes += part.byteLength;
      const due = began + bytes / (megabytesPerSecond * 1000);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    },
  };
}

/** The process of one start: prints its `StartTimes`. */
export async function runColdStart(told: string): Promise<void> {
  const start = JSON.parse(told) as Start;
  const loader = gemmaWeightLoader({ from: start.folder });
  const times: number[] = [];
  const lap = () => void times.push(performance.now());
  const open = async (): Promise<OpenedWeights> => {
    const weights = await loader.open();
    return {
      ...weights,
      load(targets, sink, options) {
        lap();
        return weights.load(targets, slowed(sink, start), options);
      },
    };
  };
  const text = 'x'.repeat(start.tokens - 2);
  const run = resolveTrainConfig({
    weightLoader: { open, tokenizer },
    data: { source: [{ text }, { text }] },
    evalFraction: 0,
    maxLength: start.tokens,
    batchSize: 1,
    steps: 2,
    lora: { rank: start.rank },
    sampleCount: 0,
  });
  await runTraining(run, {
    gpu: await openBenchGpu(),
    store: createMemoryStore(),
    logger: { onStart: lap, onStep: lap },
  });
  const [loadingMs, firstStepMs, secondStepMs] = times.slice(1).map((time, i) => time - times[i]!);
  process.stdout.write(`\n${JSON.stringify({ loadingMs, firstStepMs, secondStepMs })}\n`, () => process.exit(0));
}
