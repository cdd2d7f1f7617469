import { openCachedHub, openCachedUrl, readCachedText } from './source/cached-files.js';
import type { Platform } from './source/platform.js';

export const platform: Platform = {
  openLocal: async () => undefined,
  openHub: openCachedHub,
  openUrl: openCachedUrl,
  readUrlText: readCachedText,
};
