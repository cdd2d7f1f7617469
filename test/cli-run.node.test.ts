// The command line as a user has it, in a process of its own: Ctrl-C in the middle of a run, and a model that does not fit together.
import { spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cliProgram, runCliProcess } from './support/run-cli-node.js';

const fixtures = fileURLToPath(new URL('./fixtures', import.meta.url));

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-cli-'));
  await mkdir(join(folder, 'model'));
  for (const file of ['models/gemma3-tiny/config.json', 'models/gemma3-tiny/model.safetensors'])
    await copyFile(join(fixtures, file), join(folder, 'model', file.split('/').at(-1)!));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(fixtures, 'tokenizer', file), join(folder, 'model', file));
  const rows = Array.from({ length: 12 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` }));
  await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
});
afterAll(() => rm(folder, { recursive: true }));

type OnLine = (line: string, kill: (signal: NodeJS.Signals) => void) => void;
const lapidary = (args: readonly string[], onLine: OnLine = () => undefined) =>
  runCliProcess(args, { cwd: folder, onLine });

const finetune = ['finetune', '--model', 'model', '--data', 'rows.jsonl', '--batch-size', '2', '--max-length', '48'];

it('Ctrl-C saves and ends with 130; --resume finishes', async () => {
  const out = join(folder, 'run');
  const args = [...finetune, '--steps', '500', '--save-every', '400', '--out', 'run', '--sample-tokens', '2'];
  const stopped = await lapidary(args, (line, kill) => {
    if (line.startsWith('step ')) kill('SIGINT');
  });
  expect(stopped.code, stopped.output).toBe(130);
  expect(stopped.output).toMatch(/Training was stopped after step (\d+); checkpoint \1 is saved/);
  const step = Number(/after step (\d+); checkpoint/.exec(stopped.output)![1]);
  const checkpoints = await readdir(join(out, 'checkpoints'));
  expect(checkpoints.filter((name) => name.endsWith('.json'))).toEqual([`step-${String(step).padStart(8, '0')}.json`]);
  expect((await readdir(out)).sort()).toEqual([
    'checkpoints',
    'evals.jsonl',
    'metrics.jsonl',
    'report.html',
    'run.json',
    'samples.jsonl',
    'start.json',
  ]);
  expect(checkpoints).toHaveLength(2);

  // As long as it went, and a little more: the settings of the learning rate are those of the whole run.
  const again = await lapidary(args);
  expect(again.code).toBe(1);
  expect(again.output).toContain('--resume');
  const resumed = await lapidary([...args, '--resume'], (line, kill) => {
    if (line.startsWith('step ')) kill('SIGTERM');
  });
  expect(resumed.code, resumed.output).toBe(130);
  expect(Number(/after step (\d+); checkpoint/.exec(resumed.output)![1])).toBeGreaterThan(step);
  const steps = (await readFile(join(out, 'metrics.jsonl'), 'utf8')).trim().split('\n');
  expect(steps.map((line) => (JSON.parse(line) as { step: number }).step)).toEqual(steps.map((_, i) => i + 1));
});

it('weights of another model than config.json says: the tensor, both shapes, exit code 1, nothing left', async () => {
  await mkdir(join(folder, 'other'));
  for (const name of await readdir(join(folder, 'model')))
    await copyFile(join(folder, 'model', name), join(folder, 'other', name));
  const config = JSON.parse(await readFile(join(folder, 'other', 'config.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(folder, 'other', 'config.json'), JSON.stringify({ ...config, intermediate_size: 96 }));
  const { code, output } = await lapidary([
    'finetune',
    '--model',
    'other',
    '--data',
    'rows.jsonl',
    '--out',
    'not-made',
  ]);
  expect(code, output).toBe(1);
  expect(output).toMatch(
    /model\.safetensors, tensor model\.layers\.0\.mlp\.\w+\.weight: shape \[\d+, \d+\], but layers\.0\.mlp\.\w+\.weight is \[[\d, ]*96[\d, ]*\]/,
  );
  expect(output).not.toContain('This is a bug');
  expect(await readdir(folder)).not.toContain('not-made');
});

it.runIf(process.platform === 'linux')('results that a full disk did not take are no success', async () => {
  const full = await open('/dev/full', 'w');
  try {
    const child = spawn(process.execPath, [...cliProgram, 'inspect', 'model', '--json'], {
      cwd: folder,
      stdio: ['ignore', full.fd, 'pipe'],
    });
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
    expect(await new Promise((done) => child.on('close', done)), said).toBe(1);
    expect(said).toMatch(/standard output cannot be written: .*ENOSPC/);
  } finally {
    await full.close();
  }
});
