// Makes the small base model that the example fine-tunes: Gemma 3's architecture, trained from random weights by this trainer on
// the `fortunes` of Debian and on made-up exercises. See README.md here.
//
// usage: tsx --conditions=lapidary-source pretrain.ts FORTUNES_DIR TOKENIZER_DIR OUT_DIR [STEPS]
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRandom, gemmaConfigFromHf, modelOf } from '@lapidary/gemma';
import { resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { createTerminalProgress } from '@lapidary/trainer/node';
import { encodeFloats, gemmaWeightLoader, hfModelFiles } from '@lapidary/weights';
import { madeUpTexts, namesOrdered, wordsOf } from './made-up-texts.js';

const [fortunes, tokenizer, out, steps = '1800'] = process.argv.slice(2) as [string, string, string, string?];
const files = [
  'literature',
  'wisdom',
  'science',
  'work',
  'people',
  'food',
  'education',
  'humorists',
  'law',
  'kids',
  'cookie',
];

const model = modelOf(
  gemmaConfigFromHf({
    model_type: 'gemma3_text',
    vocab_size: 1024,
    hidden_size: 128,
    intermediate_size: 384,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 32,
    query_pre_attn_scalar: 32,
    sliding_window: 64,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_local_base_freq: 10000,
    bos_token_id: 2,
    eos_token_id: 1,
    pad_token_id: 0,
  }),
);

/** Random weights in Hugging Face's form. */
async function randomModel(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const random = createRandom(1);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const params = new Map(
    model.params.map(({ path, shape, role }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      // Embeddings are multiplied by √d on the way in.
      const std = role === 'norm' ? 0 : role === 'table' ? 1 / Math.sqrt(shape[1]!) : 0.7 / Math.sqrt(shape[1]!);
      return [
        path,
        {
          dtype: 'f32' as const,
          shape,
          bytes: encodeFloats(
            Float32Array.from({ length: size }, () => normal() * std),
            'f32',
          ),
        },
      ];
    }),
  );
  for (const [name, bytes] of Object.entries(await hfModelFiles(model, params)))
    await writeFile(join(folder, name), bytes);
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(tokenizer, name), join(folder, name));
}

const texts = (await Promise.all(files.map((file) => readFile(join(fortunes, file), 'latin1'))))
  .flatMap((text) => text.split('\n%\n'))
  .map((text) =>
    text
      .replace(/[\t ]+/g, ' ')
      .replace(/\n /g, '\n')
      .trim(),
  )
  .filter((text) => text.length > 40 && /^[\x20-\x7e\n]+$/.test(text) && !namesOrdered(text));
const chance = createRandom(1);
const madeUp = madeUpTexts(wordsOf(texts), 2);
const rows = Array.from({ length: 60_000 }, () => ({
  text: chance() < 0.7 ? madeUp() : texts[Math.floor(chance() * texts.length)]!,
}));
console.log(`${texts.length} texts, ${texts.reduce((n, t) => n + t.length, 0)} characters; ${rows.length} rows`);

await randomModel(join(out, 'random'));
await runTraining(
  resolveTrainConfig({
    name: 'base',
    weightLoader: gemmaWeightLoader({ from: join(out, 'random') }),
    data: { source: rows, tooLong: 'truncate' },
    evalFraction: 0.002,
    packing: true,
    maxLength: 128,
    batchSize: 8,
    steps: Number(steps),
    lora: null,
    seed: 1,
    outDir: join(out, 'run'),
    overwrite: true,
    optimizer: { learningRate: 3e-3, betas: [0.9, 0.95], weightDecay: 0.05 },
    schedule: { type: 'cosine', warmupSteps: 50, endLearningRate: 1e-4 },
    evalEvery: 100,
    saveEvery: 100,
    sampleCount: 3,
    sampleTokens: 30,
  }),
  { logger: createTerminalProgress() },
);

// Published as official weights are: bf16.
const trained = await gemmaWeightLoader({ from: join(out, 'run') }).open();
const half = new Map<string, { dtype: 'bf16'; shape: readonly number[]; bytes: Uint8Array }>();
for (const [path, { shape }] of trained.entries) {
  half.set(path, { dtype: 'bf16', shape, bytes: new Uint8Array(2 * shape.reduce((a, b) => a * b, 1)) });
}
await trained.load(new Map([...half].map(([path, { shape }]) => [path, { shape, dtype: 'bf16' as const }])), {
  write: (path, offset, bytes) => half.get(path)!.bytes.set(bytes, offset),
});
await trained.close();
await mkdir(join(out, 'base'), { recursive: true });
for (const [name, bytes] of Object.entries(await hfModelFiles(model, half)))
  await writeFile(join(out, 'base', name), bytes);
for (const name of ['tokenizer.json', 'tokenizer_config.json'])
  await copyFile(join(tokenizer, name), join(out, 'base', name));
