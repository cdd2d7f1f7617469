import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cardFacts } from './card-facts-node.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-card-'));
});
afterAll(() => rm(folder, { recursive: true }));

const facts = async (config: object, { baseModel, base = null }: { baseModel?: string; base?: string | null } = {}) => {
  await writeFile(join(folder, 'run.json'), JSON.stringify({ format: 'lapidary-run-1', config, baseModel }));
  return cardFacts({ folder, files: ['model.gguf'], run: folder, step: 3, base }, 'gguf', 'x');
};

test.each([
  ['google/gemma-3-270m', {}, 'google/gemma-3-270m'],
  ['https://huggingface.co/google/gemma-3-270m/tree/main', {}, 'google/gemma-3-270m'],
  ['google/gemma-3-270m/model.gguf', {}, 'google/gemma-3-270m'],
  ['/home/ada/gemma', { baseModel: 'google/gemma-3-1b-it' }, 'google/gemma-3-1b-it'],
  ['/home/ada/gemma', { base: 'google/gemma-3-4b-it' }, 'google/gemma-3-4b-it'],
  ['/home/ada/gemma', {}, null],
  ['C:\\ada\\gemma', {}, null],
])('the base of %s, with %j, is %s', async (weightLoader, over, base) => {
  expect((await facts({ weightLoader }, over)).base).toBe(base);
});

test('a folder that looks like a hub id is none', async () => {
  const before = process.cwd();
  await mkdir(join(folder, 'models/gemma'), { recursive: true });
  process.chdir(folder);
  try {
    expect((await facts({}, { base: 'models/gemma' })).base).toBeNull();
    expect((await facts({}, { base: 'models/other' })).base).toBe('models/other');
  } finally {
    process.chdir(before);
  }
});

test('data sets of the hub are named, files are not; settings are those that are there', async () => {
  const { training } = await facts({
    name: 'secret plan',
    outDir: '/home/ada/out',
    data: { source: 'hf:owner/rows' },
    evalData: { source: '/home/ada/held.jsonl' },
    optimizer: { type: 'adamw', learningRate: 1e-4 },
    lora: { rank: 8, alpha: 16, targets: ['qProj', 'vProj'], dora: false },
  });
  expect(training).toEqual({
    datasets: ['owner/rows'],
    counts: [['steps', 3]],
    settings: [
      ['optimiser', 'adamw'],
      ['learning rate', 1e-4],
      ['LoRA rank', 8],
      ['LoRA alpha', 16],
      ['LoRA on', 'qProj, vProj'],
    ],
    losses: [],
  });
  expect(JSON.stringify(training)).not.toMatch(/\/ada|secret/);
});
