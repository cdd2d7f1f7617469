import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const main = fileURLToPath(new URL('./main-node.ts', import.meta.url));
const fuzz = (args: readonly string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', '--conditions=lapidary-source', main, ...args], { encoding: 'utf8' });

test.each([[['--help']], [['rows', '-h']]])('fuzz %j shows how it is called', { timeout: 30_000 }, (args) => {
  const { status, stdout, stderr } = fuzz(args);
  expect(stdout).toMatch(/^usage: npm run fuzz -- .*\nreaders: safetensors, .*\n$/);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test.each([
  [['--nope'], "Unknown option '--nope'"],
  [['--count'], "Option '--count <value>' argument missing"],
  [['--seed', 'x'], "--seed takes a whole number, not 'x'."],
  [['rows', 'nope'], 'There is no reader nope.'],
])('fuzz %j says what is wrong with it, and how it is called', { timeout: 30_000 }, (args, problem) => {
  const { status, stdout, stderr } = fuzz(args);
  expect(stderr).toContain(problem);
  expect(stderr).toMatch(/\nusage: npm run fuzz -- .*\nreaders: safetensors, .*\n$/);
  expect(stderr).not.toContain('    at ');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
});
