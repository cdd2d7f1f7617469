// The four bundlers as their users start them: an entry and a place for the output, no plugin, no configuration.
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { build as esbuild } from 'esbuild';
import { rollup } from 'rollup';
import { build as vite } from 'vite';
import webpack from 'webpack';

/**
 * Each bundles `main.js` of a page's folder, and the `worker.js` that it starts if there is one, into its `dist`, index.html beside
 * it, and tells which modules it took and which imports it left to the page.
 * @type {Record<string, (page: string) => Promise<{ modules: string[], outside: string[] }>>}
 */
export const bundlers = {
  async esbuild(page) {
    const modules = { bundle: true, format: 'esm', splitting: true };
    const options = { entryPoints: entriesOf(page), outdir: join(page, 'dist'), ...modules };
    const { metafile } = await esbuild({ ...options, metafile: true, logLevel: 'silent' });
    copyIndex(page);
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
    return {
      modules: Object.keys(metafile.inputs),
      outside: imports.filter(({ external }) => external).map(({ path }) => path),
    };
  },

  /** Finds main.js in index.html. */
  async Vite(page) {
    const { output } = await vite({ root: page, configFile: false, logLevel: 'silent' });
    return { modules: output.flatMap(({ moduleIds = [] }) => moduleIds), outside: outsideOf(output) };
  },

  async webpack(page) {
    const options = { mode: 'production', context: page, entry: './main.js', output: { path: join(page, 'dist') } };
    const stats = await new Promise((resolve, reject) => {
      webpack(options, (error, result) => (error ? reject(error) : resolve(result)));
    });
    const { errors } = stats.toJson({ all: false, errors: true });
    if (errors.length > 0) throw new Error(errors.map(({ message }) => message.split('\n    at ')[0]).join('\n'));
    copyIndex(page);
    // A module may stand for several that webpack has joined.
    const modules = [...stats.compilation.modules].flatMap((each) => each.modules ?? [each]);
    const ids = modules.map((each) => each.nameForCondition() ?? each.identifier());
    return { modules: ids, outside: ids.filter((id) => id.startsWith('external ')) };
  },

  /** Rollup alone finds no package in node_modules; this plugin of its own does, and is the only one here. */
  async Rollup(page) {
    const plugins = [nodeResolve({ browser: true })];
    const bundle = await rollup({ input: entriesOf(page), plugins, logLevel: 'silent' });
    const { output } = await bundle.write({ dir: join(page, 'dist') });
    await bundle.close();
    copyIndex(page);
    return { modules: bundle.watchFiles, outside: outsideOf(output) };
  },
};

/** Scripts of a page, for bundlers that do not follow `new Worker(new URL('./worker.js', import.meta.url))`. */
function entriesOf(page) {
  return ['main.js', 'worker.js'].map((name) => join(page, name)).filter((file) => existsSync(file));
}

function copyIndex(page) {
  copyFileSync(join(page, 'index.html'), join(page, 'dist', 'index.html'));
}

/** Of Rollup's output, whose form Vite has too: what chunks import that is no chunk. */
function outsideOf(output) {
  const written = new Set(output.map(({ fileName }) => fileName));
  return output
    .flatMap(({ imports = [], dynamicImports = [] }) => [...imports, ...dynamicImports])
    .filter((id) => !written.has(id));
}
