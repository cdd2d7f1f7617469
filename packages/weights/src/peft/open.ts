import type { Model } from '@lapidary/gemma/model';
import type { JsonValue } from '../json-value.js';
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

/** Where an adapter comes from. Nothing is read before `open`. */
export interface AdapterLoader {
  /** Reads all of it for this model. @throws what is wrong with it; see `readPeftAdapter` */
  open(model: Model): Promise<PeftAdapter>;
  /** What goes into a run's metadata: a folder or hub id. */
  readonly description?: JsonValue;
}

/** An adapter in PEFT's form: a folder, a hub id, a URL, or its files. */
export function peftAdapterLoader({
  from,
  ...options
}: ModelSourceOptions & { readonly from: ModelLocation }): AdapterLoader {
  return {
    open: (model) => readPeftAdapter(from, { model, ...options }),
    ...(typeof from === 'string' && { description: from }),
  };
}
