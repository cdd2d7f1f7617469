import { epochOrder } from '../../data/order.js';
import type { Batch, BatchShape, Example } from '../../objectives/objective.js';
import { measuredRows } from '../prepare/measured-rows.js';
import type { PreparedRun } from '../prepare/prepare-run.js';

type Prepared = Pick<PreparedRun, 'config' | 'data' | 'task' | 'schedule'>;

/** The micro-batches of optimiser step `step` (from 0): a pure function of the step, so that a resumed run sees the same rows. */
export async function batchesOfStep(
  step: number,
  { config, data: { train }, task, schedule: { stepsPerEpoch } }: Prepared,
  shapes: readonly BatchShape[],
): Promise<Batch[]> {
  const { batchSize, gradientAccumulation, seed } = config;
  const epoch = Math.floor(step / stepsPerEpoch);
  const first = (step % stepsPerEpoch) * batchSize * gradientAccumulation;
  const order = orderOf(train, seed, epoch);
  const batches: Batch[] = [];
  for (let i = 0; i < gradientAccumulation; i++) {
    const chosen = [...order.subarray(first + i * batchSize, first + (i + 1) * batchSize)].map((n) => train[n]!);
    if (chosen.length > 0) batches.push(await task.collate(chosen, shapes));
  }
  return batches;
}

/** The last order of each run's rows: of a million rows it takes as long as a small step. */
const lastOrders = new WeakMap<readonly Example[], { readonly key: string; readonly order: Uint32Array }>();

function orderOf(examples: readonly Example[], seed: number, epoch: number): Uint32Array {
  const key = `${seed} ${epoch}`;
  const last = lastOrders.get(examples);
  if (last?.key === key) return last.order;
  const order = epochOrder(examples.length, seed, epoch);
  lastOrders.set(examples, { key, order });
  return order;
}

/** The rows that losses are measured on, a batch at a time. */
export async function* measuredBatches({ config, data, task }: Prepared): AsyncGenerator<Batch> {
  const { batchSize } = config;
  const rows = measuredRows(data, config);
  const shapes = task.shapes(rows);
  // Similar lengths together: less padding.
  const sorted = [...rows].sort((a, b) => a.length - b.length);
  for (let at = 0; at < sorted.length; at += batchSize)
    yield await task.collate(sorted.slice(at, at + batchSize), shapes);
}
