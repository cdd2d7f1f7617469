// How long a run takes from files of many rows to its first step, and how much memory: `npm run bench -- rows --help`.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeRows, type RowsFormat } from './make-rows.js';
import type { RunMeasured } from './run-rows.js';

const usage = `npm run bench -- rows [--rows 1000000] [--format jsonl|csv] [--packing]

Trains two steps of a model of a few thousand parameters on a file of many rows, in a process of its own, and on 1,000 of them.
TOKENIZER names a folder with a tokenizer.json and a tokenizer_config.json; else words are the tests' own, nearly letters.`;

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    format: { type: 'string', default: 'jsonl' },
    packing: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}

/** The run of a file of `count` rows. */
async function measure(folder: string, count: number): Promise<RunMeasured & { readonly bytes: number }> {
  const path = join(folder, `rows-${count}.${values.format}`);
  const file = createWriteStream(path);
  for (const piece of makeRows(count, values.format as RowsFormat)) if (!file.write(piece)) await once(file, 'drain');
  file.end();
  await once(file, 'close');
  const child = spawn(
    process.execPath,
    [...process.execArgv, fileURLToPath(new URL('run-rows.ts', import.meta.url)), path, String(values.packing)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let out = '';
  for await (const piece of child.stdout) out += String(piece);
  const { size } = await stat(path);
  await rm(path);
  return { ...(JSON.parse(out) as RunMeasured), bytes: size };
}

const folder = await mkdtemp(join(tmpdir(), 'lapidary-rows-'));
try {
  const few = await measure(folder, 1000);
  const many = await measure(folder, Number(values.rows));
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
  const tell = (name: string, { bytes, seconds, cpuSeconds, firstWordSeconds, peakBytes }: typeof many) =>
    console.log(
      `${name}: ${megabytes(bytes)}, first word after ${firstWordSeconds.toFixed(1)} s, first step after ${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s of processor time), at most ${megabytes(peakBytes)} in memory`,
    );
  tell('1000 rows', few);
  tell(`${values.rows} rows`, many);
  console.log(
    `more rows: ${megabytes(many.peakBytes - few.peakBytes)} more, ${(many.seconds - few.seconds).toFixed(1)} s longer`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
