// Makes the small base model that this example fine-tunes: that of examples/finetune, with FunctionGemma's tokens (make-base.ts), trained
// whole by this trainer on calls of made-up functions. See README.md here.
//
// usage: tsx --conditions=lapidary-source pretrain.ts WITH_TOKENS_DIR OUT_DIR [STEPS]
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { createTerminalProgress } from '@lapidary/trainer/node';
import { gemmaWeightLoader, hfModelFiles } from '@lapidary/weights';
import { madeUpCalls } from './made-up-calls.js';

const [from, out, steps = '1600'] = process.argv.slice(2) as [string, string, string?];

const { model: bpe } = JSON.parse(await readFile(join(from, 'tokenizer.json'), 'utf8')) as {
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
};
const known = Object.keys(bpe.vocab).flatMap((piece) => /^▁([a-z]{3,})$/.exec(piece)?.[1] ?? []);
const row = madeUpCalls(known, 3);

await runTraining(
  resolveTrainConfig({
    name: 'base',
    weightLoader: gemmaWeightLoader({ from }),
    data: { source: Array.from({ length: 40_000 }, row), tooLong: 'skip' },
    evalFraction: 0.002,
    packing: true,
    maxLength: 256,
    batchSize: 4,
    steps: Number(steps),
    lora: null,
    seed: 1,
    outDir: join(out, 'run'),
    overwrite: true,
    optimizer: { learningRate: 2e-3, betas: [0.9, 0.95], weightDecay: 0.02 },
    schedule: { type: 'cosine', warmupSteps: 30, endLearningRate: 5e-5 },
    evalEvery: 100,
    saveEvery: 100,
    sampleCount: 3,
    sampleTokens: 40,
  }),
  { logger: createTerminalProgress() },
);

// Published as official weights are: bf16.
const trained = await gemmaWeightLoader({ from: join(out, 'run') }).open();
const half = new Map<string, { dtype: 'bf16'; shape: readonly number[]; bytes: Uint8Array }>();
for (const [path, { shape }] of trained.entries)
  half.set(path, { dtype: 'bf16', shape, bytes: new Uint8Array(2 * shape.reduce((a, b) => a * b, 1)) });
await trained.load(new Map([...half].map(([path, { shape }]) => [path, { shape, dtype: 'bf16' as const }])), {
  write: (path, offset, bytes) => half.get(path)!.bytes.set(bytes, offset),
});
await trained.close();
await mkdir(join(out, 'base'), { recursive: true });
for (const [name, bytes] of Object.entries(await hfModelFiles(trained.model, half)))
  await writeFile(join(out, 'base', name), bytes);
for (const name of ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'])
  await copyFile(join(from, name), join(out, 'base', name));
