// Runs whose data and output are files on disk.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatasetError, resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { gemmaWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-'));
  await writeFile(join(folder, 'data.jsonl'), '{"prompt": "a", "completion": "b"}\n{"prompt": "a" "completion"}\n');
});
afterAll(() => rm(folder, { recursive: true }));

it.each([
  ['data.jsonl', /data\.jsonl:2:\d+: .*JSON/],
  ['none.jsonl', /none\.jsonl: there is no such file/],
])('bad data, %s: a typed error, and no file', async (file, message) => {
  const outDir = join(folder, `out of ${file}`);
  const weightLoader = gemmaWeightLoader({ from: await chatModelSources() });
  const config = resolveTrainConfig({ weightLoader, data: { source: join(folder, file) }, steps: 1, outDir });
  await expect(runTraining(config)).rejects.toThrow(message);
  await expect(runTraining(config)).rejects.toBeInstanceOf(DatasetError);
  await expect(readdir(outDir)).rejects.toThrow(/ENOENT/);
});
