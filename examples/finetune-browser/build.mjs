// Builds the page from the sources of the repository, and serves it: what `npm run example:finetune-browser` does.
import { fileURLToPath } from 'node:url';
import { build, preview } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));

/** Packages are taken from their sources here; outside of the repository they come built. */
const fromSource = { conditions: ['lapidary-source', 'module', 'browser', 'development|production'] };

/** @param {string} [outDir] where the page goes; by default `dist` beside this file. */
export function buildPage(outDir) {
  const output = outDir === undefined ? {} : { outDir, emptyOutDir: true };
  return build({ root, logLevel: 'warn', resolve: fromSource, build: output });
}

/** @param {string} [outDir] as for `buildPage`. @returns the address of the page, and how to end. */
export async function servePage(outDir) {
  const output = outDir === undefined ? {} : { outDir };
  const server = await preview({ root, logLevel: 'warn', build: output, preview: { port: 5180, host: 'localhost' } });
  return { url: server.resolvedUrls?.local[0] ?? '', close: () => server.close() };
}
