import type { Variable } from '@lapidary/tensor';
import { RowNorms } from '@lapidary/trainer';

/** f32 [out]: lengths of the rows of a weight [out, in] on the device, f32. */
export async function rowNorms(weight: Variable): Promise<Float32Array> {
  const norms = new RowNorms(new Map([['weight', weight.type.shape]]));
  norms.add('weight', 'f32', 0, await weight.readBytes(0, weight.bytes));
  return norms.of('weight');
}
