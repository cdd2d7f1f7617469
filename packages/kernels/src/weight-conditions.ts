import type { DType } from './dtype.js';

/** Conditions of `common/weights.wesl`. */
export type WeightConditions = {
  readonly [C in `W_${Uppercase<Exclude<DType, 'i32' | 'u32'>>}` | 'W_QUADS' | 'W_SCALAR']?: boolean;
};

/**
 * The WESL conditions that make `common/weights.wesl` read a storage type: eight values at a time (`weight8`), four
 * (`weight4`), or one value of a plain type at any index (`weight1`).
 */
export function weightConditions(dtype: DType, width: 8 | 4 | 1 = 8): WeightConditions {
  return { [`W_${dtype.toUpperCase()}`]: true, W_QUADS: width === 4, W_SCALAR: width === 1 };
}
