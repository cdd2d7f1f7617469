import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelOf } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { modelSources } from '../../../../test/support/fixture-sources.js';
import { WeightNamesError, WeightSourceError } from '../errors.js';
import { writeFileAtomically } from '../safetensors/write-file-node.js';
import { loadedModel } from '../testing/loaded-model.js';
import { writeHfModel } from './export-node.js';

it.each(['gemma1-tiny', 'gemma2-tiny', 'gemma3-tiny-bf16'])('%s is written and read again', async (name) => {
  const model = await loadedModel(await modelSources(name));
  const folder = mkdtempSync(join(tmpdir(), 'export-test-'));
  try {
    await writeHfModel(folder, modelOf(model.config), model.tensors);
    expect(await loadedModel(folder)).toEqual(model);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
    model.tensors.delete('finalNorm.weight');
    await expect(writeHfModel(folder, modelOf(model.config), model.tensors)).rejects.toBeInstanceOf(WeightNamesError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('says which folder cannot be written', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'export-test-'));
  try {
    const { config, tensors } = await loadedModel(await modelSources('gemma1-tiny'));
    writeFileSync(join(folder, 'file'), '');
    for (const place of [join(folder, 'file'), join(folder, 'file', 'model')]) {
      const writing = writeHfModel(place, modelOf(config), tensors);
      await expect(writing).rejects.toBeInstanceOf(WeightSourceError);
      await expect(writing).rejects.toMatchObject({ file: place, message: expect.stringMatching(/E\w+/) as string });
    }
    expect(readdirSync(folder)).toEqual(['file']);
    // A folder in the way of a file of the model's.
    mkdirSync(join(folder, 'model', 'model.safetensors'), { recursive: true });
    await expect(writeHfModel(join(folder, 'model'), modelOf(config), tensors)).rejects.toMatchObject({
      name: 'WeightSourceError',
      file: join(folder, 'model', 'model.safetensors'),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('leaves the old file and no other when writing fails', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'export-test-'));
  try {
    const path = join(folder, 'a');
    writeFileSync(path, 'old');
    const broken = function* () {
      yield new Uint8Array(3);
      throw new Error('out of data');
    };
    await expect(writeFileAtomically(path, broken())).rejects.toThrow('out of data');
    expect(readdirSync(folder)).toEqual(['a']);
    await expect(writeFileAtomically(join(folder, 'none', 'a'), [])).rejects.toBeInstanceOf(WeightSourceError);
    // A folder in the way: renaming fails after everything was written.
    await expect(writeFileAtomically(folder, [new Uint8Array(1)])).rejects.toBeInstanceOf(WeightSourceError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
