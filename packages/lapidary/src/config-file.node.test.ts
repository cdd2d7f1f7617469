import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { expect, test } from 'vitest';
import { runCli } from './cli-node.js';
import { configFileSchema, mergeSettings } from './config-file.js';
import { recipes } from './recipes.js';
import { createStandInEngine } from './testing/stand-in-engine.js';

async function run(args: string[], files: Readonly<Record<string, string>> = {}) {
  const stand = createStandInEngine({});
  let [out, err] = ['', ''];
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-config-'));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const code = await runCli(
      args.map((argument) => (Object.hasOwn(files, argument) ? join(folder, argument) : argument)),
      { engine: stand.engine, version: '1', out: (text) => (out += text), err: (text) => (err += text) },
    );
    return { ...stand, code, out, err: err.replaceAll(folder, '') };
  } finally {
    await rm(folder, { recursive: true });
  }
}

const isValid = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(configFileSchema());

test('the published schema is that of the fields there are', async () => {
  await expect(`${JSON.stringify(configFileSchema(), null, 2)}\n`).toMatchFileSnapshot('../config.schema.json');
  const { exports } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  expect(exports['./config.schema.json']).toBe('./config.schema.json');
});

test.each<[object, boolean]>([
  [{ model: 'm', data: { source: 'rows.jsonl' }, lora: null }, true],
  [{ lora: { rank: 4, targets: ['qProj'], rankPattern: { 'mlp.*': 2 }, layers: null } }, true],
  [{ optimizer: { learningRate: 1e-4 } }, true],
  [{ optimizer: { type: 'lion', betas: [0.9, 0.99] } }, true],
  [{ evalData: { source: 'e.jsonl' }, steps: 3, emaDecay: 0.9 }, true],
  [{ lora: { rank: 0 } }, false],
  [{ lora: { ranks: 4 } }, false],
  [{ optimizer: { type: 'adam' } }, false],
  [{ schedule: { type: 'cosin' } }, false],
  [{ data: {} }, false],
  [{ steps: '20' }, false],
  [{ learning_rate: 1 }, false],
])('the schema judges as the program does: %j', async (settings, right) => {
  expect(isValid(settings), JSON.stringify(isValid.errors)).toBe(right);
  const file = JSON.stringify({ model: 'm', data: { source: 'rows.jsonl' }, ...settings });
  expect((await run(['finetune', '--config', 'c.json'], { 'c.json': file })).code).toBe(right ? 0 : 1);
});

test('every recipe is a config that works, in YAML with its reasons too', async () => {
  const listed = await run(['recipes']);
  for (const { name, title, settings, reasons } of recipes) {
    expect(listed.out).toContain(`${name}  `);
    expect(listed.out).toContain(title);
    expect(isValid(settings), JSON.stringify(isValid.errors)).toBe(true);
    const printed = await run(['recipes', name]);
    expect(parse(printed.out)).toEqual(settings);
    for (const reason of Object.values(reasons)) expect(printed.out).toContain(` # ${reason}\n`);
    const byName = await run(['finetune', '--recipe', name, '--data', 'rows.jsonl']);
    const byFile = await run(['finetune', '--config', 'r.yaml', '--data', 'rows.jsonl'], { 'r.yaml': printed.out });
    expect(byName.code, byName.err).toBe(0);
    const settled = ({ configs }: typeof byName) => configs.map(({ weightLoader: _, ...config }) => config);
    expect(settled(byFile)).toEqual(settled(byName));
    expect(byName.configs).toHaveLength(1);
  }
  expect((await run(['recipes', '--json'])).out).toBe(`${JSON.stringify(recipes)}\n`);
  const unknown = await run(['finetune', '--recipe', 'gemma', '--data', 'x']);
  expect(unknown.code).toBe(1);
  expect(unknown.err).toMatch(/no recipe 'gemma'; there are gemma3-270m-lora, /);
});

test('flags count more than the file, and the file more than the recipe', async () => {
  const file = 'lora:\n  rank: 4\nsteps: 9\nepochs: null\n';
  const { configs, err } = await run(
    [
      'finetune',
      '--recipe',
      'gemma3-270m-lora',
      '--config',
      'c.yml',
      '--data',
      'x',
      '--lr',
      '0.5',
      '--targets',
      'q_proj,v_proj',
    ],
    { 'c.yml': file },
  );
  expect(err).toBe('');
  expect(configs[0]).toMatchObject({
    steps: 9,
    lora: { rank: 4, alpha: 16, dropout: 0.05, targets: ['qProj', 'vProj'] },
    optimizer: { learningRate: 0.5, clipGradNorm: 0.3 },
  });
  const all = await run(['finetune', '--model', 'm', '--data', 'x', '--targets', 'all-linear']);
  expect(all.configs[0]?.lora?.targets).toBe('all');
});

test.each([
  ['a: [1', /c\.yaml is not YAML: .*line 1, column 6/],
  ['a: 1\na: 2', /c\.yaml is not YAML: .*unique.*line 2/],
  ['- 1', /c\.yaml holds no mapping/],
  ['', /c\.yaml holds no mapping/],
  ['a: !!js/function x', /c\.yaml is not YAML: .*tag/],
  [
    `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]`,
    /alias/,
  ],
])('YAML that is none is told where: %j', async (text, message) => {
  const { code, err } = await run(['finetune', '--model', 'm', '--data', 'x', '--config', 'c.yaml'], {
    'c.yaml': text,
  });
  expect(code).toBe(1);
  expect(err).toMatch(message);
});

test('settings merge field by field, lists as a whole', () => {
  expect(mergeSettings({ a: { b: 1, c: [1] }, d: 1 }, { a: { c: [2], e: null }, d: { f: 1 } })).toEqual({
    a: { b: 1, c: [2], e: null },
    d: { f: 1 },
  });
});
