import type { Model } from '@lapidary/gemma/model';
import type { ModelLocation, ModelSourceOptions } from '../source/model-source.js';
import type { PeftAdapter } from './read.js';

/**
 * An adapter that PEFT wrote for this model, names of any transformers generation: LoRA and DoRA with ranks and scales of each linear, and
 * parameters that were trained whole beside them. The reader is loaded with the first adapter.
 * @throws AdapterError for all else, and for what does not fit this model or is not as adapter_config.json says; WeightDTypeError,
 * WeightFileError, WeightSourceError for files that cannot be read.
 */
export async function readPeftAdapter(
  from: ModelLocation,
  options: ModelSourceOptions & { readonly model: Model },
): Promise<PeftAdapter> {
  const { readAdapter } = await import('./read.js');
  return readAdapter(from, options);
}
