import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { Example, RunData } from '../../objectives/objective.js';

/** The rows that losses are measured on without learning: those held out, or a batch of the others where there are none. */
export function measuredRows(
  { train, held }: RunData,
  { batchSize }: Pick<ResolvedTrainConfig, 'batchSize'>,
): readonly Example[] {
  return held.length > 0 ? held : train.slice(0, batchSize);
}
