import { formatType, needTensors, TensorShapeError, type Tensor } from '../graph.js';

/** What every optimiser's update is given. */
interface UpdateOperands {
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly hyper: Tensor;
  readonly gradNormSquared: Tensor;
}

/**
 * Checks an update's operands, all f32: the gradient is of the parameter's shape, `hyper` has so many numbers, there is one norm, and what
 * is kept of the parameter (`kept`: its name, what is given, its shape) is as it must be.
 * @throws TensorShapeError naming the operand
 */
export function checkUpdate(
  operation: string,
  { param, grad, hyper, gradNormSquared }: UpdateOperands,
  numbers: number,
  kept: readonly (readonly [name: string, given: Tensor | undefined, shape: readonly number[]])[],
): void {
  needTensors(operation, { param, grad, hyper, gradNormSquared });
  const need = (name: string, found: Tensor | undefined, shape: readonly number[]) => {
    if (found?.dtype === 'f32' && found.shape.join() === shape.join()) return;
    const type = formatType({ shape, dtype: 'f32' });
    throw new TensorShapeError(
      operation,
      `${name} is ${found ? formatType(found) : 'missing'}, not ${type}, for a parameter ${formatType(param)}`,
    );
  };
  need('param', param, param.shape);
  need('grad', grad, param.shape);
  for (const [name, given, shape] of kept) {
    if (given !== undefined) needTensors(operation, { [name]: given });
    need(name, given, shape);
  }
  need('hyper', hyper, [numbers]);
  // A scalar, or a list of one.
  need('gradNormSquared', gradNormSquared, gradNormSquared.size === 1 ? gradNormSquared.shape : []);
}
