import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gemmaConfigFromHf, modelOf } from '@lapidary/gemma';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterSources, fixtureSources, modelSources } from '../../../../test/support/fixture-sources.js';
import { fixtureBytes, fixtureJson } from '../../../../test/support/safetensors-fixture.js';
import { WeightFileError } from '../errors.js';
import { gemmaWeightLoader } from '../registry.js';
import { modelWeightLoader } from '../loader/model-weight-loader.js';
import { readPeftAdapter } from '../peft/open.js';
import { memorySink } from '../testing/memory-sink.js';
import { type ModelLocation, openModelSource } from './model-source.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-local-'));
  await mkdir(join(folder, 'cut'));
  await mkdir(join(folder, 'bad'));
  await writeFile(join(folder, 'cut', 'config.json'), await fixtureBytes('models/gemma3-tiny/config.json'));
  await writeFile(
    join(folder, 'cut', 'model.safetensors'),
    (await fixtureBytes('models/gemma3-tiny/model.safetensors')).slice(0, 9000),
  );
  await writeFile(join(folder, 'bad', 'config.json'), '{');
});
afterAll(() => rm(folder, { recursive: true }));

it('reads nothing of a configuration or tokenizer of 600 MB', async () => {
  for (const name of ['config.json', 'tokenizer.json', 'model.safetensors.index.json']) {
    await mkdir(join(folder, 'large'), { recursive: true });
    const file = await open(join(folder, 'large', name), 'w');
    await file.truncate(6e8);
    await file.close();
    const source = await openModelSource(join(folder, 'large'));
    const before = process.memoryUsage();
    const reading = source.readText(name);
    await expect(reading).rejects.toBeInstanceOf(WeightFileError);
    await expect(reading).rejects.toThrow(new RegExp(`${name}: has 600000000 bytes; at most 67108864 are read`));
    const { arrayBuffers, heapUsed } = process.memoryUsage();
    expect(arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed).toBeLessThan(64e6);
  }
});

const fixture = (path: string) => fileURLToPath(new URL(`../../../../test/fixtures/${path}`, import.meta.url));

it.each([
  ['models/gemma3-tiny', modelSources('gemma3-tiny')],
  ['models/paligemma2-tiny', modelSources('paligemma2-tiny')],
  [
    'models/gemma3-tiny/model.safetensors',
    fixtureSources('models/gemma3-tiny/model.safetensors', 'models/gemma3-tiny/config.json'),
  ],
  ['gguf/gemma3-tiny-q8_0.gguf', fixtureSources('gguf/gemma3-tiny-q8_0.gguf')],
  ['npz/paligemma1-tiny.bf16.npz', fixtureSources('npz/paligemma1-tiny.bf16.npz')],
])('%s on disk is what it is in memory', async (path, sources) => {
  const loaded = async (from: ModelLocation) => {
    const weights = await modelWeightLoader({ from }).open();
    const { sink, params } = memorySink();
    await weights.load(weights.entries, sink, { chunkBytes: 3000 });
    await weights.close();
    return { format: weights.format, config: weights.config, params };
  };
  expect(await loaded(fixture(path))).toEqual(await loaded(await sources));
});

it('an adapter on disk is what it is in memory', async () => {
  const folder = 'curves/gemma3-tiny/lora/final';
  const model = modelOf(gemmaConfigFromHf(await fixtureJson('models/gemma3-tiny/config.json')));
  const [disk, memory] = [fixture(folder), await adapterSources(folder)];
  expect(await readPeftAdapter(disk, { model })).toEqual(await readPeftAdapter(memory, { model }));
});

it('reads the folders of chat templates and of modules within that of a model, and no other', async () => {
  for (const name of ['additional_chat_templates', '2_Dense', 'other', '2-other']) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'tool_use.jinja'), name);
  }
  const source = await openModelSource(folder);
  expect(await source.readText('additional_chat_templates/tool_use.jinja')).toBe('additional_chat_templates');
  expect(await source.readText('additional_chat_templates/default.jinja')).toBeUndefined();
  expect(await source.readText('2_Dense/tool_use.jinja')).toBe('2_Dense');
  expect(await source.readText('other/tool_use.jinja')).toBeUndefined();
  expect(await source.readText('2-other/tool_use.jinja')).toBeUndefined();
  expect(await source.readText('additional_chat_templates/../other/tool_use.jinja')).toBeUndefined();
});

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
