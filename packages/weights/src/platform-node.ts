import { fetchText, httpSourceIfThere } from './source/http.js';
import { listHubFiles, openHubFile } from './source/hub-cache-node.js';
import { openLocal } from './source/local-node.js';
import { hubFileUrl, type Platform } from './source/platform.js';

export const platform: Platform = {
  openLocal,
  openHub: async (place, options) => ({
    ...(place.id.startsWith('datasets/') && (await listHubFiles(place, options))),
    open: (file) => openHubFile({ ...place, file, url: hubFileUrl(place, file) }, options),
  }),
  openUrl: (_, url, options) => httpSourceIfThere(url, options),
  readUrlText: (_, url, options) => fetchText(url, options),
};
