import { hostRowsInput, type HostRowsType } from '@lapidary/gemma';
import type { InputTypes } from '@lapidary/tensor';
import type { BatchShape, Task } from '../../objectives/objective.js';

/** A task whose programs take the rows of a table on the host for their tokens: what `HostFeed` puts beside the inputs of its batches. */
export function withHostRows<T extends Pick<Task, 'types'>>(task: T, rows: HostRowsType | undefined): T {
  if (rows === undefined) return task;
  const types = (shape: BatchShape): InputTypes => {
    const own = task.types(shape);
    const { inputIds } = own;
    if (inputIds === undefined)
      throw new TypeError(
        'an objective must call the tokens of its batches `inputIds`: rows of a table are read for them',
      );
    return {
      ...own,
      ...hostRowsInput(
        rows,
        inputIds.shape.reduce((a, b) => a * b, 1),
      ),
    };
  };
  return { ...task, types };
}
