import { geglu as gegluKernel, gegluBackward } from '@lapidary/kernels';
import { addNode, formatType, needF32, TensorShapeError, type Tensor } from '../graph.js';

/** gelu_tanh(gate) · up (Shazeer 2020, arXiv:2002.05202), in one pass. f32, same shapes. */
export function geglu(gate: Tensor, up: Tensor): Tensor {
  needF32('geglu', { gate, up });
  if (gate.shape.join() !== up.shape.join())
    throw new TensorShapeError('geglu', `gate ${formatType(gate)} and up ${formatType(up)}`);
  const n = gate.size;
  const type = { shape: gate.shape, dtype: 'f32' as const };
  return addNode({
    name: 'geglu',
    inputs: [gate, up],
    outputs: [type],
    lower: ({ profile, inputs, outputs }) =>
      gegluKernel(profile, { gate: inputs[0]!, up: inputs[1]!, out: outputs[0]!, n }),
    vjp: ({ inputs, grads }) =>
      addNode({
        name: 'geglu backward',
        inputs: [inputs[0]!, inputs[1]!, grads[0]!],
        outputs: [type, type],
        lower: ({ profile, inputs: [g, u, dOut], outputs: [dGate, dUp] }) =>
          gegluBackward(profile, { gate: g!, up: u!, dOut: dOut!, dGate: dGate!, dUp: dUp!, n }),
      }),
  })[0]!;
}
