import type { ChoiceStore } from '../tune/choice-store.js';

/** Keeps texts in memory, in `texts`. */
export function memoryChoiceStore(): ChoiceStore & { readonly texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    location: 'memory',
    texts,
    read: async (name) => texts.get(name),
    write: async (name, text) => void texts.set(name, text),
  };
}
