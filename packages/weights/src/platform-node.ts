import { openLocal } from './source/local-node.js';
import { openHubFile } from './source/hub-cache-node.js';
import type { Platform } from './source/platform.js';

export const platform: Platform = { openLocal, openHubFile };
