import type { HfConfig } from '../layout.js';
import type { GemmaTraits } from './generations.js';

/**
 * Whether Python opens a text model as part of a multimodal class: as the base's config.json says; without one, as a model of so many
 * layers is published.
 */
export function isMultimodal({ hf }: Pick<GemmaTraits, 'hf'>, numLayers: number, base: HfConfig = {}): boolean {
  if (hf.multimodal === null) return false;
  const { architectures, model_type: modelType } = base;
  const named: unknown[] = [...(Array.isArray(architectures) ? (architectures as unknown[]) : []), modelType];
  if (named.includes(hf.architecture)) return false;
  if (named.includes(hf.multimodal.architecture) || named.includes(hf.multimodal.modelType)) return true;
  if (isWrapped({ hf }, base)) return true;
  return !hf.modelTypes.some((type) => named.includes(type)) && numLayers >= hf.multimodal.layers;
}

/** Whether the multimodal class is within another one. */
export function isWrapped({ hf }: Pick<GemmaTraits, 'hf'>, base: HfConfig = {}): boolean {
  return hf.multimodal?.wrappedTypes.some((type) => type === base['model_type']) ?? false;
}
