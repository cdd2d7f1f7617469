import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import { checkKernels, type DType } from '@lapidary/kernels';
import {
  addNode,
  needDevice,
  needFunctions,
  needRecords,
  needTensorLists,
  type Tensor,
  type TensorType,
} from '../graph.js';
import { checkType, VariableError } from '../variable.js';
import { treeEntries, type Tree } from '../tree.js';
import { planProgram, type InputTypes, type ProgramPlan, type Update } from './plan.js';
import { overwritten, Program, type HostData } from './program.js';

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

/** A leaf of the graph that the host writes before each run. @throws VariableError for what is no name, shape or dtype */
export function input(name: string, type: TensorType): Tensor {
  if (typeof name !== 'string') throw new VariableError(`an input's name must be a text, not ${String(name)}`);
  checkType(`input '${name}'`, type);
  return addNode({ name: `input ${name}`, inputs: [], outputs: [type], input: { name } })[0]!;
}

function dtypeOf({ data, dtype }: HostTensor): DType {
  return dtype ?? (data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'u32');
}

/** What a traced function is given: a tensor for each of its types. */
export type InputsOf<T extends InputTypes> = { readonly [K in keyof T]: Tensor };

/** Names of a flat record of outputs; of a nested tree any path. */
export type OutputNames<O> = O extends Readonly<Record<string, Tensor>> ? keyof O & string : string;

/**
 * Traces `fn` for inputs of these types and plans its memory: kernels, buffers and bytes, with no device touched. The plan knows its
 * inputs and outputs by name.
 */
export function trace<T extends InputTypes, O extends Tree<Tensor>>(
  profile: DeviceProfile,
  fn: (inputs: InputsOf<T>) => Traced<O>,
  types: T,
): { plan: ProgramPlan<T, OutputNames<O>> } {
  needDevice('trace', { profile });
  needFunctions('trace', { fn });
  needRecords('trace', { types });
  const leaves = Object.entries(types).flatMap(([name, type]) => (type ? [[name, input(name, type)] as const] : []));
  const { outputs, updates = [] } = fn(Object.fromEntries(leaves) as InputsOf<T>);
  const named = treeEntries<Tensor>(outputs);
  const plan = planProgram(
    profile,
    named.map(([, t]) => t),
    updates,
  );
  return { plan: { ...plan, inputTypes: types, outputNames: named.map(([path]) => path as OutputNames<O>) } };
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

/** What one run gives: its outputs, read when asked for, until the next call with inputs of the same types overwrites them. */
export class RunResult {
  readonly #program: Program;
  readonly #run: number;

  /** What the program's last run gives. */
  constructor(program: Program) {
    this.#program = program;
    this.#run = program.runs;
  }

  /**
   * The values of an f32 output by its path in the tree that the function returned (`''` for a single tensor).
   * @throws ProgramOutputError for a path that is no f32 output's, and after a later run of the same program
   */
  async read(path = ''): Promise<Float32Array> {
    if (this.#program.runs !== this.#run) throw overwritten();
    return this.#program.read(path);
  }
}

export interface CompiledFunction {
  /**
   * Runs on the device; the first call for new input shapes traces, plans and allocates, later calls only replay, into the same memory:
   * a result is read before the next call of its shapes.
   */
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
  needDevice('compile', { gpu });
  needFunctions('compile', { fn });
  const programs = new Map<string, Promise<Program>>();
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
        return Program.create(gpu, trace(gpu.profile, fn, types).plan);
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
    const program = await get(types);
    program.run(Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, t.data])));
    return new RunResult(program);
  };
  return Object.assign(compiled, {
    program: (types: Readonly<Record<string, TensorLike>>) => get(types),
    destroy: () => {
      for (const made of programs.values())
        made.then(
          (program) => program.destroy(),
          () => undefined,
        );
      programs.clear();
    },
  });
}

/** Computes tensors once and reads them: the same path as a compiled program, for tests, tools and first steps. */
export async function evaluate(gpu: Gpu, tensors: readonly Tensor[]): Promise<Float32Array[]> {
  needDevice('evaluate', { gpu });
  needTensorLists('evaluate', { tensors });
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
