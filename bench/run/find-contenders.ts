import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Command } from './contender-process.js';

/** The folder of the benchmark: of sources, or of the bundles that `npm run bench -- pack` makes. */
const here = dirname(fileURLToPath(import.meta.url));
const bundled = existsSync(join(here, 'lapidary.mjs'));
const benchFolder = bundled ? here : dirname(here);
/** Where the table and the plot go, unless told otherwise. */
export const reportFolder = bundled ? process.cwd() : join(dirname(benchFolder), 'docs', 'benchmarks');

/** Programs of a contender in TypeScript: run from its sources, or bundled. */
function node(name: string, file: string): Command {
  const flags = ['--expose-gc', '--no-warnings'];
  if (bundled) return { name, program: process.execPath, args: [...flags, join(here, `${file}.mjs`)] };
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const source = ['--import', tsx, '--conditions=lapidary-source'];
  return {
    name,
    program: process.execPath,
    args: [...flags, ...source, join(benchFolder, 'contenders', file, 'main.ts')],
  };
}

export const peersAreInstalled = (): boolean =>
  bundled
    ? existsSync(join(here, 'jax.mjs'))
    : existsSync(join(benchFolder, 'node_modules', '@tensorflow', 'tfjs-backend-webgpu'));

/** A Python that has PyTorch: `$PYTHON`, then python3. */
function pythonWithTorch(): string | undefined {
  const candidates = [process.env.PYTHON, 'python3'].filter((python) => python !== undefined && python !== '');
  return candidates.find((python) => spawnSync(python!, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0);
}

/** Everyone who can take part on this machine, ourselves first. */
export function findContenders(wanted: (name: string) => boolean): Command[] {
  const commands = [node('lapidary', 'lapidary')];
  if (peersAreInstalled()) commands.push(node('jax-js', 'jax'), node('tfjs', 'tfjs'));
  const python = wanted('pytorch') ? pythonWithTorch() : undefined;
  const script = join(benchFolder, bundled ? 'torch' : join('contenders', 'torch'), 'main.py');
  if (python !== undefined) commands.push({ name: 'pytorch', program: python, args: [script] });
  return commands.filter(({ name }) => name === 'lapidary' || wanted(name));
}
