import type { Gpu } from '@lapidary/gpu';
import {
  Program,
  sumOfSquares,
  TensorLike,
  trace,
  Variable,
  variableFrom,
  type ProgramPlan,
  type Tensor,
  type Update,
} from '@lapidary/tensor';
import { hyperInput, type Optimizer, type StepValues } from '../optimizer.js';

export interface Slot {
  readonly param: Variable;
  readonly state: Readonly<Record<string, Variable>>;
}

/** A program that updates parameters once; its inputs are `hyper` and a gradient by each parameter's name. */
export function planUpdates(
  gpu: Pick<Gpu, 'profile'>,
  optimizer: Optimizer,
  settings: object,
  slots: Readonly<Record<string, Slot>>,
  { scale = { learningRate: 1, weightDecay: 1 }, normAsInput = false } = {},
): ProgramPlan {
  const names = Object.keys(slots);
  const types = {
    hyper: new TensorLike('f32', [optimizer.hyperNames.length]),
    ...(normAsInput && { norm: new TensorLike('f32', [1]) }),
    ...Object.fromEntries(names.map((name) => [`grad ${name}`, new TensorLike('f32', slots[name]!.param.type.shape)])),
  };
  return trace(
    gpu.profile,
    (inputs: Record<string, Tensor>) => {
      const gradNormSquared = inputs['norm'] ?? sumOfSquares(names.map((name) => inputs[`grad ${name}`]!));
      const updates = names.flatMap((name): Update[] => {
        const { param, state } = slots[name]!;
        const made = optimizer.update({
          param: param.tensor,
          grad: inputs[`grad ${name}`]!,
          state: Object.fromEntries(Object.entries(state).map(([key, variable]) => [key, variable.tensor])),
          hyper: inputs['hyper']!,
          gradNormSquared,
          settings,
          scale,
        });
        return [
          { variable: param, value: made.param },
          ...Object.entries(state).map(([key, variable]) => ({ variable, value: made.state[key]! })),
        ];
      });
      return { outputs: {}, updates };
    },
    types,
  ).plan;
}

/** Parameters on the device with an optimiser, one step at a time. */
export class OptimizerRun {
  readonly slots: Readonly<Record<string, Slot>>;
  readonly #program: Program;
  readonly #optimizer: Optimizer;
  readonly #settings: object;

  private constructor(slots: Readonly<Record<string, Slot>>, program: Program, optimizer: Optimizer, settings: object) {
    this.slots = slots;
    this.#program = program;
    this.#optimizer = optimizer;
    this.#settings = settings;
  }

  static async create(
    gpu: Gpu,
    optimizer: Optimizer,
    settings: object,
    start: Readonly<Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }>>,
    options: { readonly scale?: { readonly learningRate: number; readonly weightDecay: number } } = {},
  ): Promise<OptimizerRun> {
    const slots = Object.fromEntries(
      Object.entries(start).map(([name, { data, shape }]) => {
        const state = Object.entries(optimizer.state(shape, settings)).map(([key, kept]): [string, Variable] => [
          key,
          new Variable(`${name} ${key}`, { shape: kept, dtype: 'f32' }, 'optimizer').allocate(gpu),
        ]);
        return [name, { param: variableFrom(gpu, data, shape), state: Object.fromEntries(state) }];
      }),
    );
    const plan = planUpdates(gpu, optimizer, settings, slots, options);
    return new OptimizerRun(slots, await Program.create(gpu, plan), optimizer, settings);
  }

  step(at: StepValues, grads: Readonly<Record<string, Float32Array>>): void {
    this.#program.run({
      hyper: hyperInput(this.#optimizer, this.#settings, at),
      ...Object.fromEntries(Object.entries(grads).map(([name, grad]) => [`grad ${name}`, grad])),
    });
  }

  /** Every parameter and state tensor: `matrix/param`, `matrix/m`. */
  async read(): Promise<Map<string, Float32Array>> {
    const found = new Map<string, Float32Array>();
    for (const [name, { param, state }] of Object.entries(this.slots)) {
      found.set(`${name}/param`, await param.read());
      for (const [key, variable] of Object.entries(state)) found.set(`${name}/${key}`, await variable.read());
    }
    return found;
  }

  destroy(): void {
    this.#program.destroy();
    for (const { param, state } of Object.values(this.slots))
      for (const variable of [param, ...Object.values(state)]) variable.destroy();
  }
}

/** ‖found − expected‖ / ‖expected‖; NaN where anything is not finite. */
export function relativeL2(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) throw new RangeError(`lengths differ: ${found.length} and ${expected.length}`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return norm === 0 && difference === 0 ? 0 : Math.sqrt(difference / norm);
}
