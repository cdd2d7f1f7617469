// Runs that are killed, interrupted and left alone by their readers, at any moment: nothing that was saved is lost, and the end is that
// of a run that was left in peace. LAPIDARY_KILLS says how often (default 6), LAPIDARY_SIGNALS how often with each signal (default 3).
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadLatestCheckpoint } from '@lapidary/trainer';
import { createNodeFileStore } from '@lapidary/trainer/node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cliProgram } from './support/run-cli-node.js';

const fixtures = fileURLToPath(new URL('./fixtures', import.meta.url));
const kills = Number(process.env['LAPIDARY_KILLS'] ?? 6);
const signals = Number(process.env['LAPIDARY_SIGNALS'] ?? 3);
const steps = 60;

let folder = '';
/** What a run leaves that is left in peace, and how long its process takes, ms. */
let peaceful: { adapter: Buffer; losses: readonly number[]; ms: number };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-interrupted-'));
  await mkdir(join(folder, 'model'));
  for (const file of ['config.json', 'model.safetensors'])
    await copyFile(join(fixtures, 'models/gemma3-tiny', file), join(folder, 'model', file));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(fixtures, 'tokenizer', file), join(folder, 'model', file));
  const rows = Array.from({ length: 12 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` }));
  await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  const began = performance.now();
  const { code, output } = await start(finetune('peaceful')).ended;
  expect(code, output).toBe(0);
  peaceful = { ...(await resultOf('peaceful')), ms: performance.now() - began };
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

const finetune = (out: string) =>
  `finetune --model model --data rows.jsonl --out ${out} --steps ${steps} --save-every 3 --batch-size 2 --max-length 48 --sample-tokens 2 --resume`;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Starts the command line. */
function start(args: string): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [...cliProgram, ...args.split(' ')], { cwd: folder });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<Ended>((resolve) => child.on('close', (code, signal) => resolve({ code, signal, output })));
  return { child, ended };
}

async function resultOf(out: string) {
  const lines = (await readFile(join(folder, out, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
  const records = lines.map((line) => JSON.parse(line) as { step: number; loss: number });
  expect(records.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
  return {
    adapter: await readFile(join(folder, out, 'adapter_model.safetensors')),
    losses: records.map(({ loss }) => loss),
  };
}

/** The step of the newest checkpoint; all of them must be whole. */
async function savedStep(out: string): Promise<number> {
  const found = await loadLatestCheckpoint(createNodeFileStore(join(folder, out)));
  expect(found?.rejected ?? []).toEqual([]);
  return found?.step ?? 0;
}

/** Spread evenly over a process's life, in no order. */
const moment = (i: number) => ((i * 0.618034) % 1) * peaceful.ms;

/**
 * Runs that are ended by a signal at so many moments, each gone on with until it is done; a signal that comes after the end does not count.
 * @returns how many processes that took
 */
async function interrupt(signal: NodeJS.Signals, times: number): Promise<number> {
  let met = 0;
  let reached = 0;
  let out = `${signal}-0`;
  let i = 0;
  for (; met < times; i++) {
    const { child, ended } = start(finetune(out));
    const timer = setTimeout(() => child.kill(signal), moment(i));
    const { code, signal: by, output } = await ended;
    clearTimeout(timer);
    if (code !== 0) {
      met++;
      // Before the program has begun to listen it ends as the system has it.
      if (signal !== 'SIGKILL' && by !== signal) expect(code, output).toBe(130);
      expect(output).not.toMatch(/This is a bug|damaged/);
    }
    const saved = await savedStep(out);
    expect(saved, output).toBeGreaterThanOrEqual(reached);
    const told = /after step (\d+); checkpoint/.exec(output)?.[1];
    if (told !== undefined) expect(saved).toBe(Number(told));
    reached = saved;
    if (code !== 0) continue;
    await expectPeaceful(out);
    out = `${signal}-${i + 1}`;
    reached = 0;
  }
  const { code, output } = await start(finetune(out)).ended;
  expect(code, output).toBe(0);
  await expectPeaceful(out);
  return i + 1;
}

async function expectPeaceful(out: string): Promise<void> {
  const { adapter, losses } = await resultOf(out);
  expect(losses).toEqual(peaceful.losses);
  expect(adapter.equals(peaceful.adapter)).toBe(true);
  const left = (await readdir(join(folder, out), { recursive: true })).filter((name) => !/\.unfinished$/.test(name));
  expect(left.filter((name) => name === 'run.lock')).toEqual([]);
}

const patience = (times: number) => 60_000 + times * 45_000;

it(`kill -9 at ${kills} moments`, { timeout: patience(kills) }, async () => {
  console.log(`${kills} kill -9: ${await interrupt('SIGKILL', kills)} processes`);
});

it.each(['SIGHUP', 'SIGINT', 'SIGTERM'] as const)(
  `%s at ${signals} moments`,
  { timeout: patience(signals) },
  async (signal) => {
    console.log(`${signals} ${signal}: ${await interrupt(signal, signals)} processes`);
  },
);

it.each(['stderr', 'stdout and stderr'])(
  'a reader that closes %s stops the run, which saves',
  { timeout: patience(2) },
  async (closed) => {
    const out = `unread-${closed.length}`;
    const { child, ended } = start(finetune(out));
    child.stderr!.once('data', () => {
      child.stderr!.destroy();
      if (closed !== 'stderr') child.stdout!.destroy();
    });
    const { code, output } = await ended;
    expect(code, output).toBe(130);
    const { code: again, output: more } = await start(finetune(out)).ended;
    expect(again, more).toBe(0);
    await expectPeaceful(out);
  },
);

it('a second process in the folder is refused, and the first goes on', { timeout: patience(2) }, async () => {
  const first = start(finetune('shared'));
  await new Promise((resolve) => first.child.stderr!.once('data', resolve));
  const second = await start(finetune('shared')).ended;
  expect(second.code).toBe(1);
  expect(second.output).toMatch(new RegExp(`A run is under way in .*shared: process ${first.child.pid} on `));
  const { code, output } = await first.ended;
  expect(code, output).toBe(0);
  await expectPeaceful('shared');
});

it('a run that was stopped says how to get what it has learned, and that works without a device', {
  timeout: patience(2),
}, async () => {
  const { child, ended } = start(finetune('stopped'));
  child.stderr!.on('data', (text: string) => {
    if (/^step 1\d/m.test(text)) child.kill('SIGTERM');
  });
  const { code, output } = await ended;
  expect(code, output).toBe(130);
  const [, command] = /`lapidary (export \S+) --out <folder>`/.exec(output)!;
  const exported = await start(`${command} --out adapter`).ended;
  expect(exported.code, exported.output).toBe(0);
  expect(exported.output).toContain(`Checkpoint ${await savedStep('stopped')} is in adapter: adapter_config.json`);
  const config = JSON.parse(await readFile(join(folder, 'adapter', 'adapter_config.json'), 'utf8')) as object;
  // A folder is no name that others could open.
  expect(config).toMatchObject({ base_model_name_or_path: null });
  const answer = await start('generate --model model --adapter adapter --max-tokens 2 lamp').ended;
  expect(answer.code, answer.output).toBe(0);
});
