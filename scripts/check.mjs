// The inner loop: lint and types, then the fast tests in Node on the best adapter. `npm test` is the whole truth.
//   npm run check -- packages/gemma        only the tests of one folder
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root, run, runBeside } from './run.mjs';

const vitest = join(createRequire(import.meta.url).resolve('vitest/package.json'), '..', 'vitest.mjs');
const began = performance.now();

/** A step's exit code, and the line that says how it ended. */
async function step(name, running) {
  const code = await running;
  return { code, line: `${code === 0 ? '✓' : '✗'} ${name}, ${((performance.now() - began) / 1000).toFixed(0)} s` };
}
const script = (name) => step(name, runBeside('npm', ['run', '--silent', '--loglevel=error', name]));
const vitestArgs = ['run', '--project', 'fast', '--reporter=dot', '--passWithNoTests', ...process.argv.slice(2)];

// All at once: types keep one core busy, and some tests none.
const steps = await Promise.all([
  script('lint'),
  script('typecheck'),
  step('fast tests', run(process.execPath, [vitest, ...vitestArgs])),
]);
for (const { line } of steps) console.log(line);
console.log(`In ${root}.`);
process.exitCode = steps.find(({ code }) => code !== 0)?.code ?? 0;
