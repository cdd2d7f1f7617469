import type { HostRows } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import {
  Program,
  sizeOf,
  SlotPool,
  type HostData,
  type InputTypes,
  type ProfileOptions,
  type ProgramPlan,
  type ProgramProfile,
} from '@lapidary/tensor';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { Batch } from '../../objectives/objective.js';
import { hyperInput } from '../../optimizers/optimizer.js';
import { optimizerOf } from '../../optimizers/registry.js';
import { NonFiniteLossError } from '../../errors/errors.js';
import {
  programsOf,
  shapeKey,
  type EvalPrograms,
  type StepPrograms,
  type TrainPlan,
} from '../prepare/plan-programs.js';
import type { Made } from '../prepare/programs.js';
import { HostFeed, type Fed } from './host-feed.js';

/** Plans of some programs by the shape of their batches, as programs. */
type MadeByShape<P extends ReadonlyMap<string, unknown>> =
  P extends ReadonlyMap<string, infer E> ? ReadonlyMap<string, Made<E>> : never;
/** The same of all that a run has. */
type MadeOf<P> = P extends { readonly kind: string }
  ? {
      readonly [K in keyof P]: P[K] extends ReadonlyMap<string, unknown>
        ? MadeByShape<P[K]>
        : P[K] extends ProgramPlan<infer T, infer O>
          ? Program<T, O>
          : P[K];
    }
  : never;
type MadeSteps = MadeOf<StepPrograms>;
type MadeEvals = MadeOf<EvalPrograms>;

/** Means over a batch, or over several. */
export interface Losses {
  readonly loss: number;
  /** What the objective measures beside, by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** What one optimiser step told. */
export interface StepResult extends Losses {
  /** Global L2 norm of the gradients, before clipping. */
  readonly gradNorm: number;
}

/** What programs are run with. */
export interface TrainerOptions {
  readonly config: ResolvedTrainConfig;
  /** Of the opened weights, where the model has a table that stays on the host. */
  readonly hostRows?: HostRows | undefined;
}

/** Runs a program: as training does, or with its kernels timed. */
type RunProgram = <P extends Program>(program: P, inputs: Readonly<Record<string, HostData>>) => void | Promise<void>;

/** The programs of a run on the device. */
export class Trainer {
  readonly #pool: SlotPool;
  readonly #training: MadeSteps;
  readonly #evals: MadeEvals;
  readonly #config: ResolvedTrainConfig;
  readonly #feed: HostFeed;

  private constructor(pool: SlotPool, training: MadeSteps, evals: MadeEvals, { config, hostRows }: TrainerOptions) {
    this.#pool = pool;
    this.#training = training;
    this.#evals = evals;
    this.#config = config;
    this.#feed = new HostFeed(hostRows);
  }

  /** Compiles every program's pipelines, all at once; see `Program.prepare`. */
  static async prepare(gpu: Gpu, plan: Pick<TrainPlan, 'training' | 'evals'>): Promise<void> {
    await Promise.all(programsOf(plan).map((program) => Program.prepare(gpu, program)));
  }

  /** Makes every program, once its pipelines are there. The model's variables must be allocated. */
  static async create(gpu: Gpu, plan: TrainPlan, options: TrainerOptions): Promise<Trainer> {
    await Trainer.prepare(gpu, plan);
    const pool = new SlotPool(gpu, programsOf(plan));
    const making: Promise<Program>[] = [];
    const make: MakeProgram = (each) => {
      const program = Program.create(gpu, each, pool);
      making.push(program);
      return program;
    };
    try {
      const [training, evals] = await Promise.all([makeSteps(plan.training, make), makeEvals(plan.evals, make)]);
      await gpu.idle();
      return new Trainer(pool, training, evals, options);
    } catch (error) {
      for (const made of await Promise.allSettled(making)) if (made.status === 'fulfilled') made.value.destroy();
      pool.destroy();
      throw error;
    }
  }

  /** Whether batches are worth having before their step: rows are read for them. */
  get readsAhead(): boolean {
    return this.#feed.reads;
  }

  /** Begins to read what a batch of a later step will need. */
  expect(batch: Batch): void {
    this.#feed.expect(batch);
  }

  /**
   * One optimiser step (counted from 1) over its micro-batches.
   * @throws NonFiniteLossError; the parameters are then as they were before the step.
   */
  step(step: number, batches: readonly Batch[], learningRate: number): Promise<StepResult> {
    return this.#step(step, batches, learningRate, (program, inputs) => program.run(inputs));
  }

  /**
   * As `step`, with every kernel timed: the profile of each program that the step ran, in order.
   * @throws NonFiniteLossError
   */
  async profile(
    step: number,
    batches: readonly Batch[],
    learningRate: number,
    options: ProfileOptions,
  ): Promise<ProgramProfile[]> {
    const profiles: ProgramProfile[] = [];
    await this.#step(step, batches, learningRate, async (program, inputs) => {
      profiles.push(await program.profile(inputs, options));
    });
    return profiles;
  }

  async #step(step: number, batches: readonly Batch[], learningRate: number, run: RunProgram): Promise<StepResult> {
    const training = this.#training;
    const { optimizer } = this.#config;
    const at = { learningRate, step, clipNorm: optimizer.clipGradNorm ?? 0 };
    const hyper = hyperInput(optimizerOf(optimizer.type), optimizer, at);
    const weight = Float32Array.of(1 / batches.reduce((n, batch) => n + batch.weight, 0));
    const sums = new Sums();
    let squared: Float32Array = Float32Array.of(Number.NaN);
    if (training.kind === 'whole') {
      let i = 0;
      for await (const { batch, inputs } of this.#feed.feed(batches)) {
        const program = programFor(training.steps, batch);
        const joint = training.joint?.inputs([batch], 1);
        await run(program, { ...inputs, ...joint, weight, ...this.#seedOf(step, i++), hyper });
        await sums.add(program);
        squared = await program.read('gradNormSquared');
      }
    } else {
      const gradients =
        training.kind === 'joint' ? await this.#join(training, { step, batches, weight, run, sums }) : [];
      let i = -1;
      for await (const { batch, inputs: own } of this.#feed.feed(batches)) {
        const inputs = { ...own, ...this.#seedOf(step, ++i), keep: Float32Array.of(i === 0 ? 0 : 1) };
        if (training.kind === 'micro') {
          const program = programFor(training.steps, batch);
          await run(program, { ...inputs, weight });
          await sums.add(program);
        } else await run(programFor(training.steps, batch), { ...inputs, gradient: gradients[i]! });
      }
      await run(training.update, { hyper });
      squared = await training.update.read('gradNormSquared');
    }
    const { loss, metrics } = sums;
    const gradNorm = Math.sqrt(squared[0]!);
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw new NonFiniteLossError({ step, loss, gradNorm });
    return { loss, metrics, gradNorm };
  }

  /** The loss of all micro-batches, and the gradient of what it takes of each. */
  async #join(
    { joint, microBatches, outputs, join }: Extract<MadeSteps, { kind: 'joint' }>,
    at: { step: number; batches: readonly Batch[]; weight: Float32Array; run: RunProgram; sums: Sums },
  ): Promise<Float32Array[]> {
    const { step, batches, weight, run, sums } = at;
    const size = sizeOf(join.plan.inputTypes.outputs.shape.slice(1));
    const all = new Float32Array(microBatches * size);
    let i = 0;
    for await (const { batch, inputs } of this.#feed.feed(batches)) {
      const program = programFor(outputs, batch);
      await run(program, { ...inputs, ...this.#seedOf(step, i) });
      all.set(await program.read('outputs'), i++ * size);
    }
    await run(join, { ...joint.inputs(batches, microBatches), outputs: all, weight });
    await sums.add(join);
    const gradient = await join.read('gradient');
    return batches.map((_, n) => gradient.slice(n * size, (n + 1) * size));
  }

  /** The seed of a micro-batch's dropout. */
  #seedOf(step: number, microBatch: number): { readonly seed?: Int32Array } {
    const { seed, lora } = this.#config;
    return lora !== null && lora.dropout > 0
      ? { seed: Int32Array.of((seed * 1_000_003 + step * 97 + microBatch) | 0) }
      : {};
  }

  /** Means over all batches; null if the signal ended it. */
  async evaluate(batches: AsyncIterable<Batch>, signal?: AbortSignal): Promise<Losses | null> {
    const evals = this.#evals;
    const fed = this.#feed.feed(batches);
    if (evals.kind === 'outputs') return measureOutputs(evals, fed, signal);
    const sums = new Sums();
    let weight = 0;
    for await (const { batch, inputs } of fed) {
      if (signal?.aborted) return null;
      const program = programFor(evals.steps, batch);
      program.run({ ...inputs, weight: Float32Array.of(1) });
      await sums.add(program);
      weight += batch.weight;
    }
    return sums.dividedBy(weight);
  }

  destroy(): void {
    const training = this.#training;
    const others =
      training.kind === 'whole'
        ? []
        : training.kind === 'micro'
          ? [training.update]
          : [...training.outputs.values(), training.join, training.update];
    for (const program of [...training.steps.values(), ...this.#evals.steps.values(), ...others]) program.destroy();
    this.#pool.destroy();
  }
}

async function measureOutputs(
  { joint, microBatches, steps }: Extract<MadeEvals, { kind: 'outputs' }>,
  batches: AsyncIterable<Fed<Batch>>,
  signal?: AbortSignal,
): Promise<Losses | null> {
  const seen: Batch[] = [];
  const outputs: Float32Array[] = [];
  for await (const { batch, inputs } of batches) {
    if (signal?.aborted) return null;
    const program = programFor(steps, batch);
    program.run(inputs);
    outputs.push(await program.read('outputs'));
    seen.push(batch);
  }
  return joint.measure(outputs, seen, microBatches);
}

/** What of a program tells losses: its outputs `loss` and `metrics.…`. */
interface LossProgram {
  readonly plan: { readonly outputNames: readonly string[] };
  read(output: string | number): Promise<Float32Array>;
}

/** Sums of the losses of several programs. */
class Sums implements Losses {
  loss = 0;
  metrics: Record<string, number> = {};

  async add(program: LossProgram): Promise<void> {
    this.loss += (await program.read('loss'))[0]!;
    for (const output of program.plan.outputNames) {
      if (!output.startsWith('metrics.')) continue;
      const name = output.slice('metrics.'.length);
      this.metrics[name] = (this.metrics[name] ?? 0) + (await program.read(output))[0]!;
    }
  }

  dividedBy(weight: number): Losses {
    const metrics = Object.fromEntries(Object.entries(this.metrics).map(([name, sum]) => [name, sum / weight]));
    return { loss: this.loss / weight, metrics };
  }
}

type MakeProgram = <T extends InputTypes, O extends string>(plan: ProgramPlan<T, O>) => Promise<Program<T, O>>;

async function makeAll<T extends InputTypes, O extends string>(
  plans: ReadonlyMap<string, ProgramPlan<T, O>>,
  make: MakeProgram,
): Promise<Map<string, Program<T, O>>> {
  return new Map(await Promise.all([...plans].map(async ([key, plan]) => [key, await make(plan)] as const)));
}

async function makeSteps(training: StepPrograms, make: MakeProgram): Promise<MadeSteps> {
  switch (training.kind) {
    case 'whole':
      return { ...training, steps: await makeAll(training.steps, make) };
    case 'micro': {
      const [steps, update] = await Promise.all([makeAll(training.steps, make), make(training.update)]);
      return { ...training, steps, update };
    }
    case 'joint': {
      const [outputs, steps, join, update] = await Promise.all([
        makeAll(training.outputs, make),
        makeAll(training.steps, make),
        make(training.join),
        make(training.update),
      ]);
      return { ...training, outputs, steps, join, update };
    }
  }
}

const makeEvals = async (evals: EvalPrograms, make: MakeProgram): Promise<MadeEvals> =>
  evals.kind === 'losses'
    ? { ...evals, steps: await makeAll(evals.steps, make) }
    : { ...evals, steps: await makeAll(evals.steps, make) };

/** The program for batches of a shape. @throws RangeError for a shape that the objective did not announce */
function programFor<P>(programs: ReadonlyMap<string, P>, { shape }: Batch): P {
  const key = shapeKey(shape);
  const found = programs.get(key);
  if (found === undefined)
    throw new RangeError(
      `a batch has the shape ${key}, but the objective's shapes are ${[...programs.keys()].join('; ')}`,
    );
  return found;
}
