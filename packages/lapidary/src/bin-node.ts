#!/usr/bin/env node
import { abortOnSignals } from './abort-on-signals-node.js';

// Before anything else: a signal in the first moments is heard too.
const signal = abortOnSignals();
const { readFileSync } = await import('node:fs');
const { runCli } = await import('./cli-node.js');
const { engine } = await import('./engine-node.js');

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
// Set, not exit(): what was printed to a pipe must get there.
process.exitCode = await runCli(process.argv.slice(2), { engine, version, signal });
