import { hostRowsInput, type HostRows, type Model, type ParamTree } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { embedding, Program, reshape, trace, type InputsOf } from '@lapidary/tensor';
import { HostFeed, type CompletionExample, type CompletionInputs, type CompletionTask } from '@lapidary/trainer';

/** How unlikely the learned tokens of an example are. */
export interface Score {
  /** Σ −log p, nats. */
  readonly loss: number;
  readonly tokens: number;
}

/** Scores of examples, in their order; sums are made in float64. A signal ends it with its reason. */
export async function scoreExamples(
  gpu: Gpu,
  scored: {
    readonly model: Model;
    readonly params: ParamTree;
    readonly task: CompletionTask;
    readonly hostRows?: HostRows | undefined;
  },
  examples: readonly CompletionExample[],
  { onDone, signal }: { readonly onDone?: (count: number) => void; readonly signal?: AbortSignal | undefined } = {},
): Promise<Score[]> {
  const { model, params, task, hostRows } = scored;
  const feed = new HostFeed(hostRows);
  const scores: Score[] = [];
  const shapes = task.shapes(examples);
  let from = 0;
  for (const shape of shapes) {
    // Those that the shape before was too short for.
    const places = examples.flatMap(({ length }, i) => (length > from && length <= shape.length ? [i] : []));
    from = shape.length;
    const forward = ({ rows, targets, ...inputs }: InputsOf<CompletionInputs>) => {
      const { hidden } = model.forward(params, inputs);
      const stream = embedding(reshape(hidden, [-1, model.hiddenSize]), rows);
      return { outputs: { losses: model.tokenLosses(params, stream, targets).losses } };
    };
    const types = { ...task.types(shape), ...hostRowsInput(hostRows, shape.batch * shape.length) };
    const groups = Array.from({ length: Math.ceil(places.length / shape.batch) }, (_, n) =>
      places.slice(n * shape.batch, (n + 1) * shape.batch),
    );
    const batches = (async function* () {
      for (const group of groups) {
        const chosen = group.map((i) => examples[i]!);
        yield await task.collate(chosen, [shape]);
      }
    })();
    const program = await Program.create(gpu, trace(gpu.profile, forward, types).plan);
    try {
      let group = 0;
      for await (const { inputs } of feed.feed(batches)) {
        signal?.throwIfAborted();
        const batch = groups[group++]!;
        program.run(inputs);
        const losses = await program.read('losses');
        const sums = batch.map(() => ({ loss: 0, tokens: 0 }));
        inputs.rows.forEach((row, k) => {
          if (row < 0) return;
          const sum = sums[Math.floor(row / shape.length)]!;
          sum.loss += losses[k]!;
          sum.tokens++;
        });
        batch.forEach((i, b) => (scores[i] = sums[b]!));
        onDone?.(batch.length);
      }
    } finally {
      program.destroy();
    }
  }
  return scores;
}
