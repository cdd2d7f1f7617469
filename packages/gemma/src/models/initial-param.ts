import type { ParamSpec } from '../families/family.js';

/**
 * Starting values of a parameter that no file holds, f32 of `shape`: the parameter's own, or some of its rows. `random` gives numbers
 * in [0, 1).
 */
export function initialParam(
  { initial }: Pick<ParamSpec, 'initial'>,
  shape: readonly number[],
  random: () => number,
): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1);
  if ('value' in initial) return new Float32Array(size).fill(initial.value);
  const { std } = initial;
  return Float32Array.from({ length: size }, () => std * normal(random));
}

/** Box and Muller, 1958. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
