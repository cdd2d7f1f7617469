import { bufferSource } from './source/byte-source.js';
import { WeightSourceError } from './errors.js';
import { fetchText, httpSource } from './source/http.js';
import type { Platform } from './source/platform.js';

export const platform: Platform = {
  openLocal: async () => undefined,
  async openHubFile({ url, file }, options) {
    // Small text files come whole: hubs compress them, and a range of a compressed answer means something else.
    if (/\.(json|jinja|txt)$/.test(file)) {
      const text = await fetchText(url, options);
      return text === undefined ? undefined : bufferSource(file, new TextEncoder().encode(text));
    }
    try {
      return await httpSource(url, options);
    } catch (error) {
      if (error instanceof WeightSourceError && error.status === 404) return undefined;
      throw error;
    }
  },
};
