import { type DType, dtypeInfo } from '@lapidary/kernels/dtype';
import { WeightDTypeError } from '../errors.js';
import type { TensorData } from '../safetensors/write.js';
import { encodeFloats } from './convert.js';
import { dequantise } from './dequantise.js';
import { holdsNonFinite } from './non-finite.js';
import { isWrittenQuant, quantise } from './quantise.js';
import { wholeUnits } from './whole-units.js';

/**
 * A tensor as another type, changed piece by piece when its bytes are asked for; the tensor itself where nothing changes. bf16 and f16 are
 * rounded to nearest, ties to even.
 * @throws {WeightDTypeError} when bytes are asked for, where values are too large for the type: `name` says of what
 */
export function castTensor(name: string, tensor: TensorData, to: DType, offset = 0): TensorData {
  const { dtype: from, shape, bytes } = tensor;
  if (from === to && offset === 0) return tensor;
  async function* cast(): AsyncGenerator<Uint8Array> {
    const { blockBytes, blockSize } = dtypeInfo[from];
    // Whole blocks of either type.
    const unit = (blockBytes / blockSize) * Math.max(blockSize, dtypeInfo[to].blockSize);
    for await (const piece of wholeUnits(bytes instanceof Uint8Array ? [bytes] : bytes(), unit)) {
      const values = dequantise(from, piece);
      if (offset !== 0) for (let i = 0; i < values.length; i++) values[i]! += offset;
      const written = isWrittenQuant(to) ? quantise(to, values) : encodeFloats(values, to);
      if (holdsNonFinite(to, written) && values.every(Number.isFinite))
        throw new WeightDTypeError(
          { file: 'export', tensor: name, dtype: from },
          `has values that are too large for ${to}; export it as bf16 or f32.`,
        );
      yield written;
    }
  }
  return { dtype: to, shape, bytes: cast };
}
