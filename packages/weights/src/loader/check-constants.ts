import { type Layout, withoutPrefixes } from '@lapidary/gemma/model';
import type { StoredTensor } from '../container.js';
import { dequantise } from '../dtype/dequantise.js';
import { dtypeOf } from '../dtype/names.js';
import { WeightFileError } from '../errors.js';

/** Files may round. */
const tolerance = 1e-6;

/**
 * Compares tensors that follow from the configuration with what they must hold (`Layout.constants`).
 * @throws WeightFileError naming the tensor and the first value that is another
 */
export async function checkConstants(
  tensors: ReadonlyMap<string, StoredTensor>,
  layout: Layout,
  signal?: AbortSignal,
): Promise<void> {
  for (const { name, type, source, offset, byteLength } of tensors.values()) {
    const values = layout.constants?.[withoutPrefixes(layout, name)];
    if (values === undefined) continue;
    const refuse = (problem: string) =>
      new WeightFileError(
        { file: source.name, tensor: name },
        `${problem}. It says how the model computes, and that is not supported.`,
      );
    const dtype = dtypeOf(type);
    if (dtype === undefined || dtype === 'i32' || dtype === 'u32') throw refuse(`it is stored as ${type}`);
    const found =
      byteLength > values.byteLength ? undefined : dequantise(dtype, await source.read(offset, byteLength, signal));
    if (found?.length !== values.length) throw refuse(`it does not have ${values.length} values`);
    const at = values.findIndex((value, i) => !(Math.abs(found[i]! - value) <= tolerance * Math.abs(value)));
    if (at >= 0)
      throw refuse(`its value ${at} is ${found[at]}, not ${values[at]}, which follows from the configuration`);
  }
}
