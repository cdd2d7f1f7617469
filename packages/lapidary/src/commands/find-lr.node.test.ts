import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from '../cli-node.js';
import { createStandInEngine } from '../testing/stand-in-engine.js';

async function run(...args: string[]) {
  const stand = createStandInEngine();
  let [out, err] = ['', ''];
  const code = await runCli(['find-lr', '--model', 'gemma', '--data', 'rows.jsonl', ...args], {
    engine: stand.engine,
    version: '1.2.3',
    out: (text) => (out += text),
    err: (text) => (err += text),
  });
  return { ...stand, code, out, err };
}

test('tells the rate, each phase once; --steps counts rates', async () => {
  const { code, out, err, configs } = await run('--from', '1e-6', '--to', '1e-2', '--steps', '41', '--full');
  expect(code, err).toBe(0);
  expect(out).toMatch(/^Suggested +1\.00e-5\nLowest loss at +1\.00e-2 /);
  expect(out).toContain('41 rates, 1.0e-6 to 1.0e-2; to the end');
  expect(err).toBe('Trying rates …\n');
  expect(configs[0]).toMatchObject({ steps: null, lora: null });
});

test('--json prints the points; --out makes a page over rates', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-find-lr-'));
  const page = join(folder, 'lr.html');
  const { out } = await run('--json', '--out', page);
  expect(JSON.parse(out)).toMatchObject({ optimizer: 'adamw', points: { length: 100 } });
  const text = await readFile(page, 'utf8');
  expect(text).toContain('&#34;overRates&#34;:true');
  expect(text).toContain('>1e-4</text>');
  expect(text).toContain('suggested');
  await rm(folder, { recursive: true });
});

test.each([
  [['--from', '0'], '--from: found'],
  [['--from', '1', '--to', '0.5'], '--to: found'],
  [['--steps', '10'], '--steps: found'],
  [['--to', 'far'], '--to: found'],
  [['--out', 'run1'], '--out run1 is no name of a page'],
])('refuses %j', async (args, message) => {
  const { code, err, configs } = await run(...args);
  expect(code).toBe(1);
  expect(err).toContain(message);
  expect(configs).toEqual([]);
});
