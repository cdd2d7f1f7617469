// All checks of the repository, one after the other; run through `npm test`, which installs first.
//   npm test -- unit pack       only these steps
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findChromium } from './find-chromium.mjs';
import { build, root, run, runBeside } from './run.mjs';

const require = createRequire(import.meta.url);
const reports = mkdtempSync(join(tmpdir(), 'lapidary-test-'));

/** A step that passes or fails as a whole counts as one test. */
const whole = (start) => async () => {
  const failed = (await start()) === 0 ? 0 : 1;
  return { passed: 1 - failed, failed, skipped: 0 };
};
const script = (name) => whole(() => runBeside('npm', ['run', '--silent', '--loglevel=error', name]));

/** One vitest project; `adapter` is what its tests printed of the device they ran on. */
async function vitest(project, filters = []) {
  const report = join(reports, `${project}.json`);
  const args = [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    '--passWithNoTests',
  ];
  const code = await run(process.execPath, [
    join(require.resolve('vitest/package.json'), '..', 'vitest.mjs'),
    ...args,
    ...filters,
  ]);
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0, note: `vitest ended with ${code} and no report` };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  const brokenFiles = testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  );
  let failed = numFailedTests + brokenFiles.length;
  // An error outside any test, a crashed worker.
  if (code !== 0 && failed === 0) failed = 1;
  return { passed: numPassedTests, failed, skipped: numPendingTests + numTodoTests };
}

async function describeBestAdapter() {
  const chunks = [];
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=lapidary-source', 'scripts/print-adapter.ts'],
    { cwd: root },
  );
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stderr.pipe(process.stderr);
  await new Promise((resolve) => child.on('close', resolve));
  return Buffer.concat(chunks).toString().trim();
}

const adapter = await describeBestAdapter();
const browser = await findChromium();
console.log(
  `Node ${process.version} on ${adapter || 'no adapter'}; browser: ${browser?.from ?? 'none found (set CHROME to one)'}`,
);
const hasSwiftShader = process.platform === 'linux' && process.arch === 'x64';

const steps = {
  build: whole(build),
  lint: script('lint'),
  format: script('format:check'),
  typecheck: script('typecheck'),
  unit: () => vitest('node'),
  // Where Node's best adapter is SwiftShader the step above was this one.
  swiftshader: hasSwiftShader && !/swiftshader/i.test(adapter) ? () => vitest('node-swiftshader') : undefined,
  browser: browser && (() => vitest('chromium')),
  pack: whole(() => run(process.execPath, ['scripts/check-pack.mjs'])),
};

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in steps));
if (unknown.length > 0) {
  console.error(`No such step: ${unknown.join(', ')}. There are: ${Object.keys(steps).join(', ')}.`);
  process.exit(2);
}

/** Runs a step: its row of the table at the end. */
async function rowOf(name, step) {
  if (step === undefined) {
    const note = name === 'browser' ? 'no Chromium here' : 'not on this machine';
    return { name, passed: 0, failed: 0, skipped: 0, note };
  }
  console.log(`\n── ${name} ${'─'.repeat(60 - name.length)}`);
  const started = performance.now();
  const result = await step().catch((error) => ({
    passed: 0,
    failed: 1,
    skipped: 0,
    note: String(error?.message ?? error),
  }));
  return { name, ...result, seconds: (performance.now() - started) / 1000 };
}

// Those that need one core each go together; tests take all there are.
const together = ['build', 'lint', 'format', 'typecheck'];
const wanted = Object.entries(steps).filter(([name]) => chosen.length === 0 || chosen.includes(name));
const rows = await Promise.all(
  wanted.filter(([name]) => together.includes(name)).map(([name, step]) => rowOf(name, step)),
);
for (const [name, step] of wanted) if (!together.includes(name)) rows.push(await rowOf(name, step));
rmSync(reports, { recursive: true, force: true });

console.log(`\nNode ${process.version} on ${adapter || 'no adapter'}; browser: ${browser?.from ?? 'none'}`);
for (const { name, passed, failed, skipped, seconds, note } of rows) {
  const mark = failed > 0 ? '✗' : seconds === undefined ? '–' : '✓';
  const counts =
    seconds === undefined
      ? 'not run'
      : `${passed} passed${failed ? `, ${failed} failed` : ''}${skipped ? `, ${skipped} skipped` : ''}`;
  console.log(
    `${mark} ${name.padEnd(12)} ${counts}${seconds === undefined ? '' : `, ${seconds.toFixed(0)} s`}${note ? ` (${note})` : ''}`,
  );
}
const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
const skipped = sum('skipped');
process.exitCode = sum('failed') > 0 ? 1 : 0;
console.log(`${sum('passed')} passed, ${sum('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
