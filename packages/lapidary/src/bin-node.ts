#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { abortOnSignals, runCli } from './cli-node.js';
import { engine } from './engine-node.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
// `lapidary inspect … | head` closes the pipe when it has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
// Set, not exit(): what was printed to a pipe must get there.
process.exitCode = await runCli(process.argv.slice(2), { engine, version, signal: abortOnSignals() });
