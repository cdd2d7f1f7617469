import type { Initial, ParamSpec } from '../families/family.js';

/** Where in a model a parameter stands. */
export type ParamPlace = Pick<ParamSpec, 'tower' | 'layer' | 'block'>;

/** Starting values of variance 1 / in (LeCun et al. 1998), as OpenPI's: `in` values of a row go into each of `shape[0]`. */
export function fanIn(shape: readonly number[]): Initial {
  const size = shape.reduce((a, b) => a * b, 1);
  return { std: 1 / Math.sqrt(size / (shape[0] ?? 1)) };
}

/** The weight [out, in] of a linear. */
export function linearSpec(path: string, [out, input]: readonly [number, number], place: ParamPlace): ParamSpec {
  const shape = [out, input];
  return { path: `${path}.weight`, shape, role: 'linear', ...place, initial: fanIn(shape) };
}

/** The weight [size] of a norm, which begins at `value`. */
export function normSpec(path: string, size: number, value: number, place: ParamPlace): ParamSpec {
  return { path: `${path}.weight`, shape: [size], role: 'norm', ...place, initial: { value } };
}

/** A bias [size], which begins at zero. */
export function biasSpec(path: string, size: number, place: ParamPlace): ParamSpec {
  return { path: `${path}.bias`, shape: [size], role: 'bias', ...place, initial: { value: 0 } };
}
