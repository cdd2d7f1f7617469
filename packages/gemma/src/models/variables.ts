import type { DType } from '@lapidary/kernels';
import { treeFromEntries, Variable, type VariableCategory } from '@lapidary/tensor';
import type { ParamTree } from '../families/family.js';

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
 * for the variables being that family's.
 */
export function paramTree<P = ParamTree>(variables: ReadonlyMap<string, Variable>): P {
  return treeFromEntries([...variables].map(([path, variable]) => [path, variable.tensor] as const)) as P;
}
