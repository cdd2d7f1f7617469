import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import { checkKernels, type DType } from '@lapidary/kernels';
import { addNode, type Tensor, type TensorType } from '../graph.js';
import { treeEntries, treeFromEntries, type Tree } from '../tree.js';
import type { Variable } from '../variable.js';
import { planProgram, type ProgramPlan, type Update } from './plan.js';
import { Program, type HostData } from './program.js';

/** Values for one input of a compiled function. */
export interface HostTensor {
  readonly data: HostData;
  readonly shape: readonly number[];
  /** Default: f32 for Float32Array, i32 for Int32Array, u32 for Uint32Array. */
  readonly dtype?: DType;
}

export interface Traced<O extends Tree<Tensor>> {
  readonly outputs: O;
  /** New values of variables, written in place after the run. */
  readonly updates?: readonly Update[];
}

/** A leaf of the graph that the host writes before each run. */
export function input(name: string, type: TensorType): Tensor {
  return addNode({ name: `input ${name}`, inputs: [], outputs: [type], input: { name } })[0]!;
}

function dtypeOf({ data, dtype }: HostTensor): DType {
  return dtype ?? (data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'u32');
}

/** Traces `fn` for inputs of these types and plans its memory: kernels, buffers and bytes, with no device touched. */
export function trace<I extends Tree<Tensor>, O extends Tree<Tensor>>(
  profile: DeviceProfile,
  fn: (inputs: I) => Traced<O>,
  types: Tree<TensorLike>,
): { plan: ProgramPlan; outputPaths: string[] } {
  const leaves = treeEntries<Tensor>(buildInputs(types));
  const { outputs, updates = [] } = fn(treeFromEntries(leaves) as I);
  const named = treeEntries<Tensor>(outputs);
  return {
    plan: planProgram(
      profile,
      named.map(([, t]) => t),
      updates,
    ),
    outputPaths: named.map(([path]) => path),
  };
}

/** A shape and dtype as a leaf of a tree (a class, so that trees do not take it for a branch). */
export class TensorLike implements TensorType {
  readonly shape: readonly number[];
  readonly dtype: DType;
  constructor(dtype: DType, shape: readonly number[]) {
    this.shape = shape;
    this.dtype = dtype;
  }
}

function buildInputs(types: Tree<TensorLike>): Tree<Tensor> {
  return treeFromEntries(treeEntries<TensorLike>(types).map(([path, type]) => [path, input(path, type)] as const));
}

/** What one run gives: its outputs, read when asked for. */
export class RunResult {
  readonly #program: Program;
  readonly #paths: readonly string[];

  constructor(program: Program, paths: readonly string[]) {
    this.#program = program;
    this.#paths = paths;
  }

  /** The values of an f32 output by its path in the tree that the function returned (`''` for a single tensor). */
  read(path = ''): Promise<Float32Array> {
    const index = this.#paths.indexOf(path);
    if (index < 0) throw new RangeError(`no output '${path}'; there are: ${this.#paths.join(', ')}`);
    return this.#program.read(index);
  }
}

export interface CompiledFunction {
  /** Runs on the device; the first call for new input shapes traces, plans and allocates, later calls only replay. */
  (inputs: Readonly<Record<string, HostTensor>>): Promise<RunResult>;
  /** The program for inputs of these types, made now if need be. */
  program(types: Readonly<Record<string, TensorLike>>): Promise<Program>;
  /** Gives back all programs' memory. */
  destroy(): void;
}

/** Makes `fn` run as one program per combination of input shapes. Paths of `inputs` are flat names. */
export function compile<O extends Tree<Tensor>>(
  gpu: Gpu,
  fn: (inputs: Record<string, Tensor>) => Traced<O>,
): CompiledFunction {
  const programs = new Map<string, Promise<{ program: Program; paths: string[] }>>();
  const get = (types: Readonly<Record<string, TensorLike>>) => {
    const key = Object.entries(types)
      .map(([name, t]) => `${name}:${t.dtype}[${t.shape.join()}]`)
      .sort()
      .join(';');
    let made = programs.get(key);
    if (made === undefined) {
      made = (async () => {
        // Before planning, so that the plan does without variants that fail.
        await checkKernels(gpu);
        const { plan, outputPaths } = trace<Record<string, Tensor>, O>(gpu.profile, fn, types);
        return { program: await Program.create(gpu, plan), paths: outputPaths };
      })();
      programs.set(key, made);
      made.catch(() => programs.delete(key));
    }
    return made;
  };
  const compiled = async (inputs: Readonly<Record<string, HostTensor>>) => {
    const types = Object.fromEntries(
      Object.entries(inputs).map(([name, t]) => [name, new TensorLike(dtypeOf(t), t.shape)]),
    );
    const { program, paths } = await get(types);
    program.run(Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, t.data])));
    return new RunResult(program, paths);
  };
  return Object.assign(compiled, {
    program: async (types: Readonly<Record<string, TensorLike>>) => (await get(types)).program,
    destroy: () => {
      for (const made of programs.values())
        made.then(
          ({ program }) => program.destroy(),
          () => undefined,
        );
      programs.clear();
    },
  });
}

/** Computes tensors once and reads them: the same path as a compiled program, for tests, tools and first steps. */
export async function evaluate(gpu: Gpu, tensors: readonly Tensor[]): Promise<Float32Array[]> {
  await checkKernels(gpu);
  const program = await Program.create(gpu, planProgram(gpu.profile, tensors, []));
  try {
    program.run();
    const results: Float32Array[] = [];
    for (let i = 0; i < tensors.length; i++) results.push(await program.read(i));
    return results;
  } finally {
    program.destroy();
  }
}

/** Gives every variable of a list its memory. */
export function allocateAll(gpu: Gpu, variables: Iterable<Variable>): void {
  for (const variable of variables) variable.allocate(gpu);
}
