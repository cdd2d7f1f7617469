import type { WeightLoader } from '@lapidary/weights';

/** A loader for configs whose weights nobody opens. */
export function unopenedLoader(about: Pick<WeightLoader, 'description'> = {}): WeightLoader {
  return { ...about, open: () => Promise.reject(new Error('these weights are not to be opened')) };
}
