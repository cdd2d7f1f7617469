import type { DType } from './dtype.js';

/**
 * The WESL conditions that make `common/weights.wesl` read a storage type: eight values at a time (`weight8`), or with
 * `scalar` one value of a plain type at any index (`weight1`).
 */
export function weightConditions(dtype: DType, scalar = false): Record<string, boolean> {
  return { [`W_${dtype.toUpperCase()}`]: true, W_SCALAR: scalar };
}
