import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelOf } from '@lapidary/gemma';
import { writeHfModel } from '@lapidary/weights/node';
import { gemmaWeights, type GemmaShape } from '../gemma-weights.js';
import { toBf16 } from '../values.js';
import { gemmaConfig } from './gemma-model.js';

/** A made-up Gemma in a folder as Hugging Face has it, in bf16; written unless it is there already, where PyTorch looks for it too. */
export async function modelFolder(shape: GemmaShape): Promise<string> {
  const folder = join(tmpdir(), `lapidary-bench-${shape.layers}-${shape.words}`);
  if (existsSync(join(folder, 'config.json'))) return folder;
  const tensors = gemmaWeights(shape).map(({ path, shape: size, values }) => {
    const bytes = () => [new Uint8Array(toBf16(values()).buffer)];
    return [path, { shape: size, dtype: 'bf16' as const, bytes }] as const;
  });
  await writeHfModel(folder, modelOf(gemmaConfig(shape)), new Map(tensors));
  return folder;
}
