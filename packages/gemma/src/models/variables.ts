import type { DType } from '@lapidary/kernels';
import { treeFromEntries, Variable, type Tensor, type VariableCategory } from '@lapidary/tensor';
import type { ParamTree } from '../families/family.js';
import type { LoraUpdate } from './lora.js';

/** What one parameter is to be on the device. */
export interface ParamPlan {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly category: VariableCategory;
}

/** One abstract variable a path: allocate them when the plan has been found to fit. */
export function planVariables(plans: ReadonlyMap<string, ParamPlan>): Map<string, Variable> {
  return new Map(
    [...plans].map(([path, { shape, dtype, category }]) => [path, new Variable(path, { shape, dtype }, category)]),
  );
}

/**
 * The parameter tree over variables, as `Model` takes it; with a type argument, as the functions of one family do: the caller answers
 * for the variables being that family's. `updates`, by linear, are the adapter's, whose tensors are among the variables.
 */
export function paramTree<P = ParamTree>(
  variables: ReadonlyMap<string, Variable>,
  updates: ReadonlyMap<string, Pick<LoraUpdate, 'scale'>> = new Map(),
): P {
  const entries: [string, Tensor | number][] = [...variables].map(([path, { tensor }]) => [path, tensor]);
  for (const [linear, { scale }] of updates) entries.push([`${linear}.lora.scale`, scale]);
  return treeFromEntries(entries) as P;
}
