// One run, in a process of its own: what it took until its first step, as JSON.
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createMemoryStore, resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { bufferSource, gemmaWeightLoader } from '@lapidary/weights';

/** What a run took until its first step was done. */
export interface RunMeasured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Until rows were first told of. */
  readonly firstWordSeconds: number;
  /** The largest resident set. */
  readonly peakBytes: number;
}

const [path, packing] = process.argv.slice(2);
const fixtures = fileURLToPath(new URL('../../test/fixtures/', import.meta.url));
const tokenizer = process.env['TOKENIZER'] ?? join(fixtures, 'tokenizer');
const files = [
  ...['config.json', 'model.safetensors'].map((name) => join(fixtures, 'models/gemma3-tiny', name)),
  ...['tokenizer.json', 'tokenizer_config.json'].map((name) => join(tokenizer, name)),
];
const from = await Promise.all(files.map(async (file) => bufferSource(basename(file), await readFile(file))));

const began = performance.now();
const secondsSince = () => (performance.now() - began) / 1000;
const atFirst = process.cpuUsage();
let firstWordSeconds = 0;
let measured: RunMeasured | undefined;
await runTraining(
  resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from }),
    data: { source: path!, tooLong: 'truncate' },
    evalData: { source: [{ prompt: 'the', completion: ' world' }] },
    maxLength: 128,
    packing: packing === 'true',
    batchSize: 4,
    steps: 2,
    sampleCount: 0,
    outDir: 'memory',
  }),
  {
    store: createMemoryStore(),
    logger: {
      onPhase: ({ name, detail }) => {
        if (name === 'Reading rows') firstWordSeconds ||= secondsSince();
        if (detail !== undefined && process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${detail}`);
      },
      onStep: () => {
        const { user, system } = process.cpuUsage(atFirst);
        // In kilobytes.
        const peakBytes = process.resourceUsage().maxRSS * 1024;
        measured ??= { seconds: secondsSince(), cpuSeconds: (user + system) / 1e6, firstWordSeconds, peakBytes };
      },
    },
  },
);
process.stdout.write(JSON.stringify(measured));
