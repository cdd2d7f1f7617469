import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Model } from '@lapidary/gemma';
import { WeightSourceError } from '../errors.js';
import { writeFileAtomically } from '../safetensors/write-file-node.js';
import type { TensorData } from '../safetensors/write.js';
import { type ExportBase, type HfFolder, hfModelFiles } from './export.js';

/**
 * Writes config.json, model.safetensors and what else the model's form has into `folder`, one tensor in memory at a time, in the form of `base` if that is given.
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
  // The configuration last: without it nobody takes the folder for a model.
  const { 'config.json': config, ...others } = files;
  for (const [name, content] of Object.entries<HfFolder[string]>({ ...others, 'config.json': config })) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFileAtomically(join(folder, name), content instanceof Uint8Array ? [content] : content);
  }
}
