import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { WeightNamesError, WeightSourceError } from '../errors.js';
import { gemmaWeightLoader } from '../loader/gemma-weight-loader.js';
import { writeFileAtomically } from '../safetensors/write-file-node.js';
import type { TensorData } from '../safetensors/write.js';
import { bufferSource } from '../source/byte-source.js';
import { fixture, memorySink } from '../testing/fixtures-node.js';
import { hfModelFiles } from './export.js';
import { writeHfModel } from './export-node.js';

async function loaded(from: Parameters<typeof gemmaWeightLoader>[0]['from']) {
  const weights = await gemmaWeightLoader({ from }).open();
  const { sink, params } = memorySink();
  await weights.load(weights.entries, sink);
  await weights.close();
  const tensors = new Map<string, TensorData>();
  for (const [path, { shape, dtype }] of weights.entries) tensors.set(path, { shape, dtype, bytes: params.get(path)! });
  return { config: weights.config, tensors };
}

it.each(['gemma1-tiny', 'gemma2-tiny', 'gemma3-tiny-bf16'])('%s goes out and comes back the same', async (name) => {
  const model = await loaded(fixture(`models/${name}`));
  const files = hfModelFiles(model.config, model.tensors);
  const pieces: Uint8Array[] = [];
  for await (const piece of files['model.safetensors']) pieces.push(piece);
  const weights = Buffer.concat(pieces);
  const sources = [bufferSource('config.json', files['config.json']), bufferSource('model.safetensors', weights)];
  expect(await loaded(sources)).toEqual(model);
  const folder = mkdtempSync(join(tmpdir(), 'export-test-'));
  try {
    await writeHfModel(folder, model.config, model.tensors);
    expect(await loaded(folder)).toEqual(model);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
    model.tensors.delete('finalNorm.weight');
    await expect(writeHfModel(folder, model.config, model.tensors)).rejects.toBeInstanceOf(WeightNamesError);
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
