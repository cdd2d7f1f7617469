// Gives readers of foreign files inputs that are nearly right, and looks for those that they do not take as they should.
//   npm run fuzz -- [reader …] [--seed N] [--count N] [--seconds N] [--keep folder]
import { fork } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Told, Work } from './child-node.js';
import { Dice } from './dice.js';
import { type Finding, formatFinding } from './fuzz.js';
import { readers } from './readers.js';

/** Most milliseconds of the processor for one input: on a busy machine a process may stand still without being to blame. */
const mostMs = 2000;
/** Most milliseconds of waiting, for whatever it may be. */
const mostWaitMs = 120_000;
/** A process that takes more is ended: for its heap, and all together above what it began with. */
const mostHeapMb = 512;
const mostBytes = 2 * mostHeapMb * 2 ** 20;
/** For what a process does between inputs. */
const graceMs = 1000;
/** A reader is given up after so many findings. */
const mostFindings = 20;

const usage = `usage: npm run fuzz -- [reader …] [--seed N] [--count N] [--seconds N] [--keep folder]\nreaders: ${Object.keys(readers).join(', ')}`;

function refuse(problem: string): never {
  console.error(`${problem}\n${usage}`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        seed: { type: 'string', default: '1' },
        count: { type: 'string' },
        seconds: { type: 'string' },
        keep: { type: 'string' },
      },
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

const { values: flags, positionals } = readArguments();
if (flags.help) {
  console.log(usage);
  process.exit(0);
}
const names = positionals.length > 0 ? positionals : Object.keys(readers);
const unknown = names.filter((name) => !Object.hasOwn(readers, name));
if (unknown.length > 0) refuse(`There is no reader ${unknown.join(', ')}.`);
const [seed, count, seconds] = (['seed', 'count', 'seconds'] as const).map((name) => {
  const text = flags[name];
  if (text !== undefined && !/^\d{1,15}$/.test(text)) refuse(`--${name} takes a whole number, not '${text}'.`);
  return text === undefined ? undefined : Number(text);
});

interface Sum {
  inputs: number;
  accepted: number;
  findings: number;
}

/** Starts processes, one after the other: an input at which one hangs or dies is a finding, and the next goes on after it. */
async function fuzz(
  name: string,
  { first, most, until }: { first: number; most: number; until: number },
): Promise<Sum> {
  const sum: Sum = { inputs: 0, accepted: 0, findings: 0 };
  while (sum.inputs < most && sum.findings < mostFindings && Date.now() < until) {
    const { inputs, accepted, findings } = await runChild(name, first + sum.inputs, most - sum.inputs, until);
    for (const finding of findings) console.log(`\n${formatFinding(finding)}`);
    sum.inputs += inputs;
    sum.accepted += accepted;
    sum.findings += findings.length;
  }
  return sum;
}

async function runChild(name: string, first: number, most: number, until: number) {
  const findings: Finding[] = [];
  let writing = Promise.resolve();
  let died: string | undefined;
  let isDone = false;
  await writeFile(progress, new Uint8Array(16));
  const child = fork(new URL('./child-node.ts', import.meta.url), {
    execArgv: [...process.execArgv, `--max-old-space-size=${mostHeapMb}`],
    serialization: 'advanced',
    // What a process says as it dies of its memory is long, and says no more than that.
    stdio: ['ignore', 'inherit', 'ignore', 'ipc'],
  });
  const stop = (why?: string) => {
    died ??= why;
    isDone = true;
    child.kill('SIGKILL');
  };
  child.on('message', (told: Told) => {
    if (told.kind === 'finding') findings.push(told.finding);
    else if (told.kind === 'kept') writing = writing.then(() => keep(name, told));
    else isDone = true;
    if (findings.length >= mostFindings) stop();
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const work: Work = { name, seed: first, count: most, mostMs, progress, keep: flags.keep !== undefined };
  child.send(work);
  let [seen, since, spentBefore] = [-1, Date.now(), 0];
  let least = Number.POSITIVE_INFINITY;
  const watch = setInterval(async () => {
    const [begun = 0] = await readProgress();
    const spent = await processorMs(child.pid);
    if (begun !== seen) [seen, since, spentBefore] = [begun, Date.now(), spent];
    const bytes = await residentBytes(child.pid);
    least = Math.min(least, bytes);
    if (begun > 0 && spent - spentBefore > mostMs + graceMs) stop(`did not end within ${mostMs} ms`);
    else if (begun > 0 && Date.now() - since > mostWaitMs) stop(`did not end within ${mostWaitMs} ms of waiting`);
    else if (bytes - least > mostBytes) stop(`took ${Math.round((bytes - least) / 2 ** 20)} MB`);
    else if (Date.now() >= until) stop();
  }, 200);
  await ended;
  clearInterval(watch);
  await writing;
  const [begun = 0, accepted = 0] = await readProgress();
  if (!isDone) died ??= `the process died (of its memory: ${mostHeapMb} MB?)`;
  if (died !== undefined && begun > 0) {
    const seed = first + begun - 1;
    findings.push({ reader: name, seed, problem: died, files: (await readers[name]!()).make(new Dice(seed)) });
  } else if (died !== undefined) throw new Error(`${name}: ${died} before its first input`);
  return { inputs: begun, accepted, findings };
}

async function readProgress(): Promise<Float64Array> {
  const bytes = await readFile(progress);
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 16));
}

/** What a process has taken of the processor; 0 where the system does not tell. */
async function processorMs(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // After the name, which may hold blanks: user time is the 12th field, system time the 13th, in hundredths of a second.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return 10 * (Number(fields[11] ?? 0) + Number(fields[12] ?? 0));
}

/** Memory of a process, where the system tells: buffers and libraries included, which its heap does not count. */
async function residentBytes(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '');
  return Number(text.split(' ')[1] ?? 0) * 4096;
}

/** An input as files, and what became of it as a line of `verdicts.jsonl`: for other readers of the same formats. */
async function keep(name: string, { seed, verdict }: Extract<Told, { kind: 'kept' }>): Promise<void> {
  const folder = join(flags.keep!, name);
  await mkdir(folder, { recursive: true });
  const { kind, problem, files } = verdict;
  const written = Object.entries(files).map(([file, bytes]) => [`${seed}-${file}`, bytes] as const);
  for (const [file, bytes] of written) await writeFile(join(folder, file), bytes);
  const line = { seed, files: written.map(([file]) => file), accepted: kind === 'accepted', problem };
  await appendFile(join(folder, 'verdicts.jsonl'), `${JSON.stringify(line)}\n`);
}

const folder = await mkdtemp(join(tmpdir(), 'lapidary-fuzz-'));
const progress = join(folder, 'progress');
const most = count ?? (seconds === undefined ? 10_000 : Number.MAX_SAFE_INTEGER);
let found = 0;
for (const name of names) {
  const began = Date.now();
  const until = seconds === undefined ? Number.POSITIVE_INFINITY : began + seconds * 1000;
  const { inputs, accepted, findings } = await fuzz(name, { first: seed!, most, until });
  found += findings;
  const share = `${((100 * accepted) / Math.max(1, inputs)).toFixed(0)} % accepted`;
  const took = `${((Date.now() - began) / 1000).toFixed(0)} s`;
  console.log(
    `${findings > 0 ? '✗' : '✓'} ${name.padEnd(15)} ${inputs} inputs, ${share}, ${findings} findings, ${took}`,
  );
}
await rm(folder, { recursive: true });
process.exitCode = found > 0 ? 1 : 0;
