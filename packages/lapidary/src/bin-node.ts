#!/usr/bin/env node
import { abortOnSignals } from './abort-on-signals-node.js';

// Before anything else: a signal in the first moments is heard too.
const signal = abortOnSignals();
const { readFileSync } = await import('node:fs');
const { runCli } = await import('./cli-node.js');
const { engine } = await import('./engine-node.js');
const { exitCodes } = await import('./exit-codes.js');

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
let lost: NodeJS.ErrnoException | undefined;
process.stdout.on('error', (error) => (lost ??= error));
const exitCode = await runCli(process.argv.slice(2), { engine, version, signal });
await new Promise<void>((done) => process.stdout.write('', () => done()));
// Who reads no further has what they wanted; a disk that is full has lost it.
const isLost = lost !== undefined && lost.code !== 'EPIPE';
if (isLost) process.stderr.write(`error: standard output cannot be written: ${lost?.message}.\n`);
// Set, not exit(): what was printed to a pipe must get there.
process.exitCode = isLost ? exitCodes.userError : exitCode;
