import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, resolveTrainConfig, type TrainConfig } from '@lapidary/trainer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { engine, loaderOf } from './engine-node.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-engine-'));
  const fixtures = fileURLToPath(new URL('../../../test/fixtures', import.meta.url));
  for (const file of ['config.json', 'model.safetensors'])
    await copyFile(join(fixtures, 'models/gemma3-tiny', file), join(folder, file));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(fixtures, 'tokenizer', file), join(folder, file));
  await writeFile(join(folder, 'rows.jsonl'), '{"prompt": "The lamp", "completion": " by the river"}\n'.repeat(4));
});
afterAll(() => rm(folder, { recursive: true }));

const plan = (over: Partial<TrainConfig>) =>
  engine.planTraining(
    resolveTrainConfig({
      weightLoader: loaderOf(folder),
      data: { source: join(folder, 'rows.jsonl') },
      batchSize: 2,
      ...over,
    }),
  );

test('plan refuses rows beyond the context, with both numbers', async () => {
  await expect(plan({ maxLength: 129 })).rejects.toThrow(ConfigError);
  await expect(plan({ maxLength: 129 })).rejects.toThrow(/maxLength: found 129; allowed: at most 128/);
});

test('plan tells what is known of whether the run fits', async () => {
  const { fit } = await plan({ maxLength: 64 });
  // Of a few megabytes: on the CPU they fit; on a GPU it is not known, and that is said.
  expect(fit).toMatchObject({ refused: false });
  expect(fit?.fits).not.toBe(false);
  expect(fit?.reason).toMatch(/largest buffer takes .* that the adapter allows for one/);
  expect(fit?.reason).toMatch(fit?.fits ? /of memory .* are free/ : /WebGPU does not tell/);
});

test('a released model is planned from its name: PaliGemma 3B at 224 pixels, LoRA, in 8 GB', async () => {
  const config = resolveTrainConfig({
    weightLoader: loaderOf('paligemma-3b-224'),
    data: { source: 'none' },
    batchSize: 1,
    maxLength: 128,
    lora: { rank: 16 },
    gradientCheckpointing: true,
  });
  const planned = await engine.planRelease('paligemma-3b-224', config);
  expect(planned.parameters - planned.trainableParameters).toBe(2_923_335_408);
  const total = planned.memory.reduce((n, { bytes }) => n + bytes, 0);
  expect(total).toBeGreaterThan(2 * 2_923_335_408);
  expect(total).toBeLessThan(8e9);
});
