import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gemmaWeightLoader } from '../loader/gemma-weight-loader.js';
import { fixtureBytes } from '../testing/fixtures-node.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-local-'));
  await mkdir(join(folder, 'cut'));
  await mkdir(join(folder, 'bad'));
  await writeFile(join(folder, 'cut', 'config.json'), fixtureBytes('models/gemma3-tiny/config.json'));
  await writeFile(
    join(folder, 'cut', 'model.safetensors'),
    fixtureBytes('models/gemma3-tiny/model.safetensors').slice(0, 9000),
  );
  await writeFile(join(folder, 'bad', 'config.json'), '{');
});
afterAll(() => rm(folder, { recursive: true }));

it('errors name a file as the user wrote its path', async () => {
  const cut = join(folder, 'cut');
  const near = relative('.', cut);
  for (const [from, file] of [
    [cut, `${cut}/model.safetensors`],
    [`${cut}/`, `${cut}/model.safetensors`],
    [near, `${near}/model.safetensors`],
    [`${cut}/model.safetensors`, `${cut}/model.safetensors`],
  ] as const)
    await expect(gemmaWeightLoader({ from }).open()).rejects.toMatchObject({ name: 'WeightFileError', file });
  const bad = join(folder, 'bad');
  await expect(gemmaWeightLoader({ from: bad }).open()).rejects.toThrow(`${bad}, config.json: is not valid JSON`);
});
