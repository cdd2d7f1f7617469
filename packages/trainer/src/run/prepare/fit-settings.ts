import type { Model } from '@lapidary/gemma';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { defaultMaxLength } from '../../config/train-config-schema.js';
import type { RunData } from '../../objectives/objective.js';

/** Places that the pictures of a row take. */
export function patchesOf({ train, held }: Pick<RunData, 'train' | 'held'>): number {
  let patches = 0;
  for (const part of [train, held]) for (const example of part) patches = Math.max(patches, example.patches);
  return patches;
}

/** A `maxLength` that was not chosen, where the model's context has room for less beside pictures; else null. */
export function shorterMaxLength(
  { maxLength }: Pick<ResolvedTrainConfig, 'maxLength'>,
  { maxPositionEmbeddings }: Pick<Model, 'maxPositionEmbeddings'>,
  patches: number,
): number | null {
  const room = maxPositionEmbeddings - patches;
  return maxLength === defaultMaxLength && room < maxLength && room >= 2 ? room : null;
}

/** A `batchSize` beyond the rows there are, cut to these; else null. */
export function smallerBatch(
  { batchSize }: Pick<ResolvedTrainConfig, 'batchSize'>,
  { train }: Pick<RunData, 'train'>,
): number | null {
  return batchSize > train.length ? train.length : null;
}
