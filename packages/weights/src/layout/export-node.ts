import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { GemmaConfig } from '@lapidary/gemma';
import { writeFileAtomically, writeSafetensors } from '../safetensors/write-file-node.js';
import type { TensorData } from '../safetensors/write.js';
import { hfConfigFile, hfTensors } from './export.js';

/** Writes config.json and model.safetensors into `folder`, one tensor in memory at a time. */
export async function writeHfModel(
  folder: string,
  config: GemmaConfig,
  params: ReadonlyMap<string, TensorData>,
): Promise<void> {
  const tensors = hfTensors(config, params);
  await mkdir(folder, { recursive: true });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
  const dtype = params.get('embedTokens.weight')?.dtype ?? 'f32';
  await writeFileAtomically(join(folder, 'config.json'), [hfConfigFile(config, dtype)]);
}
