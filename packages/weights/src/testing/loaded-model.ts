import { gemmaWeightLoader } from '../registry.js';
import type { TensorData } from '../safetensors/write.js';
import type { ModelLocation } from '../source/model-source.js';
import { memorySink } from './memory-sink.js';

/** A whole model in memory, each tensor as it is stored. */
export async function loadedModel(from: ModelLocation) {
  const weights = await gemmaWeightLoader({ from }).open();
  const { sink, params } = memorySink();
  await weights.load(weights.entries, sink);
  await weights.close();
  const tensors = new Map<string, TensorData>();
  for (const [path, { shape, dtype }] of weights.entries) tensors.set(path, { shape, dtype, bytes: params.get(path)! });
  return { config: weights.config, tensors };
}
