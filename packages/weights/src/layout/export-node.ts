import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Model } from '@lapidary/gemma';
import { WeightSourceError } from '../errors.js';
import { writeFileAtomically } from '../safetensors/write-file-node.js';
import type { TensorData } from '../safetensors/write.js';
import { type ExportBase, hfModelFiles } from './export.js';

/**
 * Writes config.json and model.safetensors into `folder`, one tensor in memory at a time, in the form of `base` if that is given.
 * @throws as `hfModelFiles`; WeightSourceError where the folder cannot be written
 */
export async function writeHfModel(
  folder: string,
  model: Model,
  params: ReadonlyMap<string, TensorData>,
  base?: ExportBase,
): Promise<void> {
  const files = hfModelFiles(model, params, base);
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw new WeightSourceError(folder, `could not be made: ${error.message}`, { cause: error });
  });
  await writeFileAtomically(join(folder, 'model.safetensors'), files['model.safetensors']);
  await writeFileAtomically(join(folder, 'config.json'), [files['config.json']]);
}
