// Gives readers of foreign files inputs that are nearly right, and looks for those that they do not take as they should.
//   npm run fuzz -- [reader …] [--seed N] [--count N] [--seconds N] [--keep folder]
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Dice } from './dice.js';
import { type Finding, formatFinding, mostMs } from './fuzz.js';
import { readers } from './readers.js';
import type { Told, Work } from './worker-node.js';

/** A thread that takes more is ended: of its heap, and of all else, buffers and libraries included. */
const mostHeapMb = 512;
const mostBytes = 512 * 2 ** 20;
/** A reader is given up after so many findings. */
const mostFindings = 20;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string' },
    seconds: { type: 'string' },
    keep: { type: 'string' },
  },
});
const names = positionals.length > 0 ? positionals : Object.keys(readers);
const unknown = names.filter((name) => !Object.hasOwn(readers, name));
const [seed, count, seconds] = [flags.seed, flags.count, flags.seconds].map((text) =>
  text === undefined ? undefined : Number(text),
);
const isNumber = (value: number | undefined) => value === undefined || (Number.isSafeInteger(value) && value >= 0);
if (unknown.length > 0 || ![seed, count, seconds].every(isNumber)) {
  console.error(
    `usage: npm run fuzz -- [reader …] [--seed N] [--count N] [--seconds N] [--keep folder]\nreaders: ${Object.keys(readers).join(', ')}`,
  );
  process.exit(2);
}

interface Sum {
  inputs: number;
  accepted: number;
  findings: number;
}

/** Starts threads, one after the other, until a reader's inputs are read: one that hangs or dies is a finding, and the next goes on after it. */
async function fuzz(name: string, first: number, many: number, until: number): Promise<Sum> {
  const sum: Sum = { inputs: 0, accepted: 0, findings: 0 };
  while (sum.inputs < many && sum.findings < mostFindings && Date.now() < until) {
    const at = first + sum.inputs;
    const { inputs, accepted, findings } = await runThread(name, at, many - sum.inputs, until);
    for (const finding of findings) console.log(`\n${formatFinding(finding)}`);
    sum.inputs += inputs;
    sum.accepted += accepted;
    sum.findings += findings.length;
  }
  return sum;
}

async function runThread(name: string, first: number, many: number, until: number) {
  const work: Work = {
    name,
    seed: first,
    count: many,
    progress: new SharedArrayBuffer(8),
    keep: flags.keep !== undefined,
  };
  const state = new Int32Array(work.progress);
  const worker = new Worker(new URL('./start-worker-node.mjs', import.meta.url), {
    workerData: work,
    resourceLimits: { maxOldGenerationSizeMb: mostHeapMb },
  });
  const findings: Finding[] = [];
  let died: string | undefined;
  let writing = Promise.resolve();
  const ended = new Promise<void>((resolve) => {
    worker.on('message', (told: Told) => {
      if ('finding' in told) findings.push(told.finding);
      else if ('kept' in told) writing = writing.then(() => keep(name, told.kept));
      else resolve();
      if (findings.length >= mostFindings) resolve();
    });
    worker.on('error', (error) => {
      died ??= `the thread died: ${error.message}`;
      resolve();
    });
    worker.on('exit', () => resolve());
  });
  let seen = -1;
  let since = Date.now();
  let least = Number.POSITIVE_INFINITY;
  const stop = (why: string | undefined) => {
    died ??= why;
    void worker.terminate();
  };
  const watch = setInterval(() => {
    const now = Atomics.load(state, 0);
    if (now !== seen || seen === -1) [seen, since] = [now, Date.now()];
    const rss = process.memoryUsage.rss();
    least = Math.min(least, rss);
    // Loading the thread itself takes some seconds on a busy machine.
    if (Date.now() - since > mostMs + 2000 + (now === 0 ? 20_000 : 0)) stop(`did not end within ${mostMs} ms`);
    else if (rss - least > mostHeapMb * 2 ** 20 + mostBytes) stop(`took ${Math.round((rss - least) / 2 ** 20)} MB`);
    else if (Date.now() >= until) stop(undefined);
  }, 100);
  await ended;
  await worker.terminate();
  clearInterval(watch);
  await writing;
  const reached = Atomics.load(state, 0);
  if (died !== undefined) {
    const reader = await readers[name]!();
    findings.push({
      reader: name,
      seed: first + reached,
      problem: died,
      files: reader.make(new Dice(first + reached)),
    });
  }
  return { inputs: Math.min(many, reached + (died === undefined ? 0 : 1)), accepted: Atomics.load(state, 1), findings };
}

/** An input as files, with its verdict in their names: for other readers of the same formats. */
async function keep(
  name: string,
  { seed, accepted, files }: { seed: number; accepted: boolean; files: Readonly<Record<string, Uint8Array>> },
): Promise<void> {
  const folder = join(flags.keep!, name);
  await mkdir(folder, { recursive: true });
  for (const [file, bytes] of Object.entries(files))
    await writeFile(join(folder, `${seed}-${accepted ? 'accepted' : 'refused'}-${file}`), bytes);
}

const perReader = count ?? (seconds === undefined ? 10_000 : Number.MAX_SAFE_INTEGER);
let found = 0;
for (const name of names) {
  const began = Date.now();
  const { inputs, accepted, findings } = await fuzz(
    name,
    seed!,
    perReader,
    seconds === undefined ? Number.POSITIVE_INFINITY : began + seconds * 1000,
  );
  found += findings;
  const took = (Date.now() - began) / 1000;
  console.log(
    `${findings > 0 ? '✗' : '✓'} ${name.padEnd(15)} ${String(inputs).padStart(9)} inputs, ${((100 * accepted) / Math.max(1, inputs)).toFixed(0).padStart(3)} % accepted, ${findings} findings, ${took.toFixed(0)} s`,
  );
}
process.exitCode = found > 0 ? 1 : 0;
