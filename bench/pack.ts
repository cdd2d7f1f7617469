// Bundles the benchmark into a folder that runs where there is Node and Dawn but no node_modules: npm run bench -- pack <folder>
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { peersAreInstalled } from './run/find-contenders.js';
import { ownVersion } from './run/own-version.js';

const here = dirname(fileURLToPath(import.meta.url));
const [target] = process.argv.slice(2);
if (target === undefined) {
  console.error('usage: npm run bench -- pack <folder>');
  process.exit(2);
}
const folder = resolve(process.env.INIT_CWD ?? process.cwd(), target);
rmSync(join(folder, 'torch'), { recursive: true, force: true });

const contenders = ['lapidary', ...(peersAreInstalled() ? ['jax', 'tfjs'] : [])];
await build({
  entryPoints: {
    main: join(here, 'main.ts'),
    ...Object.fromEntries(contenders.map((name) => [name, join(here, 'contenders', name, 'main.ts')])),
  },
  outdir: folder,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  minify: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  conditions: ['lapidary-source'],
  define: { BENCH_VERSION: JSON.stringify(process.env.BENCH_VERSION ?? ownVersion()) },
  // Dawn is found through $DAWN_NODE.
  external: ['webgpu', '@sparticuz/chromium', 'sharp'],
  // Some peers are CommonJS.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'warning',
});
cpSync(join(here, 'contenders', 'torch'), join(folder, 'torch'), {
  recursive: true,
  filter: (file) => !file.includes('__pycache__'),
});
const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
console.log(
  `${folder}: ${(bytes / 1e6).toFixed(1)} MB. There: DAWN_NODE=… node ${target}/main.mjs --size full --out <folder>`,
);
