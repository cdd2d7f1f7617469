import type { Model } from '@lapidary/gemma';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { ConfigError } from '../../errors/errors.js';

/** @throws ConfigError when rows may be longer than the model's context. `patches`: places that pictures take of it */
export function checkContext(
  { maxLength }: Pick<ResolvedTrainConfig, 'maxLength'>,
  { maxPositionEmbeddings }: Pick<Model, 'maxPositionEmbeddings'>,
  patches = 0,
): void {
  const room = maxPositionEmbeddings - patches;
  if (maxLength <= room) return;
  const pictures = patches === 0 ? '' : `, of which pictures take ${patches}`;
  const allowed = `at most ${room}: the model's context is ${maxPositionEmbeddings} tokens${pictures}. Longer rows: \`data.tooLong\` 'truncate' or 'skip'`;
  throw new ConfigError({ problems: [{ path: 'maxLength', found: String(maxLength), allowed }] });
}
