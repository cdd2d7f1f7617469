// What is said of how the fixtures were made is so.
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url));
const read = (file: string) => readFile(`${fixtures}${file}`, 'utf8');
const files = await readdir(fixtures);
const models = await readdir(`${fixtures}models`, { recursive: true });
const readme = await read('README.md');
const versions = new Map(
  (await read('requirements.txt')).split('\n').map((line) => line.split('==') as [string, string]),
);

test('the versions that README.md names are those of requirements.txt', () => {
  const [, torch, transformers, peft] = /^Versions: .*torch ([\d.]+), transformers ([\d.]+), PEFT ([\d.]+),/m.exec(
    readme,
  )!;
  expect({ torch, transformers, peft }).toEqual({
    torch: versions.get('torch'),
    transformers: versions.get('transformers'),
    peft: versions.get('peft'),
  });
});

test.each(models.filter((file) => /config\.json$/.test(file)))(
  'models/%s was written by that transformers',
  async (file) => {
    const { transformers_version: version } = JSON.parse(await read(`models/${file}`)) as Record<string, unknown>;
    expect(version ?? versions.get('transformers')).toBe(versions.get('transformers'));
  },
);

test.each(files.filter((file) => /^make/.test(file)))('%s is in the list of what makes them', (file) => {
  expect(readme).toContain(`${file} `);
});

test('no test and no fixture asks for a Python by the environment', () => {
  expect(readme).not.toMatch(/LAPIDARY_\w+/);
});
