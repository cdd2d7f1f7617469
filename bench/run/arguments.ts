import { parseArgs } from 'node:util';
import type { Size } from '../cases/case.js';

export const usage = `usage: npm run bench -- [part of a case's name …] [options]
       npm run bench -- peers                installs what to compare with into bench/node_modules, then runs
       npm run bench -- kernels [part …]     every kernel of ours alone
       npm run bench -- pack <folder>        bundles all this for a machine without node_modules

options
  --rounds N        rounds that medians are taken of (default 7)
  --adapter NAME    the WebGPU adapter with this in its name; swiftshader is Google's for the CPU, from npm
  --size SIZE       small (default on adapters of the CPU) or full (default on GPUs)
  --only A,B        only these beside us: jax-js, tfjs, pytorch; none for ourselves alone
  --patient         the others wait for the GPU without taking a core, as we do (see bench/README.md)
  --out FOLDER      where to write the table and the plot (default docs/benchmarks, if all cases are measured)
  --dry             writes nothing`;

export interface Arguments {
  readonly parts: readonly string[];
  readonly rounds: number;
  readonly adapter?: string;
  readonly size?: Size;
  readonly only?: readonly string[];
  readonly out?: string;
  readonly patient: boolean;
  readonly dry: boolean;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function readArguments(args: readonly string[]): Arguments {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) throw new UsageError('Measures ourselves and others on the same adapter.');
  const rounds = Number(values.rounds ?? 7);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new UsageError(`--rounds is '${values.rounds}', not a whole number`);
  if (values.size !== undefined && values.size !== 'small' && values.size !== 'full')
    throw new UsageError(`--size is '${values.size}'; it can be small or full`);
  return {
    parts: positionals,
    rounds,
    patient: values.patient ?? false,
    dry: values.dry ?? false,
    ...(values.adapter !== undefined && { adapter: values.adapter }),
    ...(values.size !== undefined && { size: values.size }),
    ...(values.only !== undefined && { only: values.only.split(',') }),
    ...(values.out !== undefined && { out: values.out }),
  };
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      adapter: { type: 'string' },
      size: { type: 'string' },
      only: { type: 'string' },
      out: { type: 'string' },
      patient: { type: 'boolean' },
      dry: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
}
