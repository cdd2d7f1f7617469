// The inner loop: lint and types, then the fast tests in Node on the best adapter. `npm test` is the whole truth.
//   npm run check -- packages/gemma        only the tests of one folder
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root, run } from './run.mjs';

const vitest = join(createRequire(import.meta.url).resolve('vitest/package.json'), '..', 'vitest.mjs');
const script = (name) => run('npm', ['run', '--silent', '--loglevel=error', name]);

const began = performance.now();
const seconds = (from) => `${((performance.now() - from) / 1000).toFixed(0)} s`;
const report = (name, code, from) => console.log(`${code === 0 ? '✓' : '✗'} ${name}, ${seconds(from)}`);

// The two that need one core each go together.
const first = await Promise.all(
  ['lint', 'typecheck'].map(async (name) => {
    const from = performance.now();
    const code = await script(name);
    report(name, code, from);
    return code;
  }),
);
const from = performance.now();
const tests = await run(process.execPath, [
  vitest,
  'run',
  '--project',
  'fast',
  '--reporter=dot',
  '--passWithNoTests',
  ...process.argv.slice(2),
]);
report('fast tests', tests, from);
console.log(`Together ${seconds(began)}, in ${root}.`);
process.exitCode = [...first, tests].find((code) => code !== 0) ?? 0;
