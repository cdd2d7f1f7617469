import type { Gpu } from '@lapidary/gpu';
import {
  Program,
  SlotPool,
  type HostData,
  type ProfileOptions,
  type ProgramPlan,
  type ProgramProfile,
} from '@lapidary/tensor';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import type { Batch } from '../data/batch.js';
import { NonFiniteLossError } from '../errors/errors.js';
import type { TrainPlan } from './train-plan.js';
import { hyperInput } from './train-programs.js';

/** The programs of a run on the device. */
export class Trainer {
  readonly #pool: SlotPool;
  readonly #steps: ReadonlyMap<number, Program>;
  readonly #evals: ReadonlyMap<number, Program>;
  readonly #update: Program | undefined;
  readonly #config: ResolvedTrainConfig;

  private constructor(
    pool: SlotPool,
    steps: ReadonlyMap<number, Program>,
    evals: ReadonlyMap<number, Program>,
    update: Program | undefined,
    config: ResolvedTrainConfig,
  ) {
    this.#pool = pool;
    this.#steps = steps;
    this.#evals = evals;
    this.#update = update;
    this.#config = config;
  }

  /** Compiles every program's pipelines, all at once; see `Program.prepare`. */
  static async prepare(gpu: Gpu, plan: TrainPlan): Promise<void> {
    await Promise.all(programsOf(plan).map((program) => Program.prepare(gpu, program)));
  }

  /** Makes every program, once its pipelines are there. */
  static async create(gpu: Gpu, plan: TrainPlan, config: ResolvedTrainConfig): Promise<Trainer> {
    await Trainer.prepare(gpu, plan);
    const pool = new SlotPool(gpu, programsOf(plan));
    const make = async (plans: TrainPlan['steps']) =>
      new Map(
        await Promise.all([...plans].map(async ([length, p]) => [length, await Program.create(gpu, p, pool)] as const)),
      );
    const [steps, evals, update] = await Promise.all([
      make(plan.steps),
      make(plan.evals),
      plan.update && Program.create(gpu, plan.update, pool),
    ]);
    await gpu.idle();
    return new Trainer(pool, steps, evals, update, config);
  }

  /**
   * One optimiser step (counted from 1) over its micro-batches.
   * @throws NonFiniteLossError; the parameters are then as they were before the step.
   */
  step(step: number, batches: readonly Batch[], learningRate: number): Promise<{ loss: number; gradNorm: number }> {
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

  async #step(
    step: number,
    batches: readonly Batch[],
    learningRate: number,
    run: (program: Program, inputs: Readonly<Record<string, HostData>>) => void | Promise<void>,
  ): Promise<{ loss: number; gradNorm: number }> {
    const { optimizer, seed } = this.#config;
    const targets = batches.reduce((n, b) => n + b.numTargets, 0);
    const hyper = hyperInput({
      learningRate,
      beta1: optimizer.betas[0],
      beta2: optimizer.betas[1],
      eps: optimizer.eps,
      weightDecay: optimizer.weightDecay,
      step,
      clipNorm: optimizer.clipGradNorm ?? 0,
    });
    const weight = Float32Array.of(1 / targets);
    let loss = 0;
    let last: { program: Program; normOutput: number } | undefined;
    for (const [i, batch] of batches.entries()) {
      const program = this.#steps.get(batch.shape.length)!;
      const dropout = program.plan.inputs.some(({ name }) => name === 'seed')
        ? { seed: Int32Array.of((seed * 1_000_003 + step * 97 + i) | 0) }
        : {};
      await run(program, {
        ...inputsOf(batch),
        weight,
        ...dropout,
        ...(this.#update ? { keep: Float32Array.of(i === 0 ? 0 : 1) } : { hyper }),
      });
      loss += (await program.read(0))[0]!;
      last = { program, normOutput: 1 };
    }
    if (this.#update) {
      await run(this.#update, { hyper });
      last = { program: this.#update, normOutput: 0 };
    }
    const gradNorm = Math.sqrt((await last!.program.read(last!.normOutput))[0]!);
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw new NonFiniteLossError({ step, loss, gradNorm });
    return { loss, gradNorm };
  }

  /** Mean loss over the targets of all batches, nats; null if the signal ended it. */
  async evaluate(batches: AsyncIterable<Batch>, signal?: AbortSignal): Promise<number | null> {
    let total = 0;
    let targets = 0;
    for await (const batch of batches) {
      if (signal?.aborted) return null;
      const program = this.#evals.get(batch.shape.length)!;
      program.run({ ...inputsOf(batch), weight: Float32Array.of(1) });
      total += (await program.read(0))[0]!;
      targets += batch.numTargets;
    }
    return total / targets;
  }

  destroy(): void {
    for (const program of [...this.#steps.values(), ...this.#evals.values(), ...(this.#update ? [this.#update] : [])])
      program.destroy();
    this.#pool.destroy();
  }
}

const programsOf = ({ steps, evals, update }: TrainPlan): ProgramPlan[] => [
  ...steps.values(),
  ...evals.values(),
  ...(update ? [update] : []),
];

const inputsOf = ({ inputIds, tokenInfo, rows, targets, patches }: Batch) => ({
  inputIds,
  tokenInfo,
  rows,
  targets,
  ...(patches && { patches }),
});
