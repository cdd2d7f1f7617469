import type { WeightFormat } from '@lapidary/gemma/model';
import { AdapterError } from '../errors.js';

/** Which weights an adapter was trained over: what tells them from others of the same shapes. */
export interface BaseWeights {
  /** Of the files that they came from. */
  readonly format: WeightFormat;
  /** By path of a parameter that the adapter leaves as it is: its type and a hash of its bytes, `bf16 0f3c59d1a2b4c6d8`. */
  readonly tensors: ReadonlyMap<string, string>;
}

/** Where an adapter's file says it: in its metadata, which PEFT passes over. */
export const baseWeightsKey = 'lapidary_base_weights';

const formats: readonly string[] = ['safetensors', 'gguf', 'npz'] satisfies readonly WeightFormat[];

/** As the text of a file's metadata. */
export function encodeBaseWeights({ format, tensors }: BaseWeights): string {
  return JSON.stringify({ format, tensors: Object.fromEntries(tensors) });
}

/** What a file's metadata say; undefined where they say nothing. @throws AdapterError for what this version does not write */
export function decodeBaseWeights(metadata: Readonly<Record<string, string>>, file: string): BaseWeights | undefined {
  const text = metadata[baseWeightsKey];
  if (text === undefined) return undefined;
  try {
    const { format, tensors } = JSON.parse(text) as Record<string, unknown>;
    const entries = Object.entries(tensors as object);
    // Earlier versions wrote hashes of 8 digits.
    const isWhole = entries.every(([, hash]) => typeof hash === 'string' && /^\w+ ([0-9a-f]{8}){1,2}$/.test(hash));
    if (formats.includes(format as string) && isWhole)
      return { format: format as WeightFormat, tensors: new Map(entries as [string, string][]) };
  } catch {
    // Told below.
  }
  throw new AdapterError(file, `its metadata '${baseWeightsKey}' cannot be read: take it out, or the file is damaged.`);
}
