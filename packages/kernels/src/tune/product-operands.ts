import { blocks, whole } from '../check/exact-values.js';
import type { Scratch } from '../check/scratch.js';
import { byteLength, dtypeInfo, isQuantised, storageBytes, type DType } from '../dtype.js';
import type { Operand } from '../kernel-call.js';
import type { MatmulProduct } from '../matmul/matmul-product.js';
import { packReference } from '../reference/convert.js';

/** Bytes of a product's operands together that are measured at most. */
const mostBytes = 128 * 2 ** 20;

/** A prime number of values, or of blocks: rows do not repeat each other. */
const period = { values: 65_521, blocks: 1021 };

/**
 * The product that is measured in the place of a large one: with fewer results, of which there are then still so many that each
 * takes as long. Null where that is not enough.
 */
export function measurable(product: MatmulProduct): MatmulProduct | null {
  let { m, n, batch } = product;
  const { k, dtype } = product;
  const bytes = () => batch * (4 * m * k + byteLength(dtype, n * k) + 4 * m * n);
  const half = (side: number) => Math.floor(side / 512) * 256;
  while (bytes() > mostBytes) {
    if (batch > 1) batch = Math.ceil(batch / 2);
    else if (Math.max(m, n) < 1024) return null;
    else if (m > n) m = half(m);
    else n = half(n);
  }
  return { ...product, m, n, batch };
}

/** Operands on the device, of whole numbers: their product is exact, in whatever order it is summed. */
export function productOperands(
  scratch: Scratch,
  { m, n, k, batch, dtype }: MatmulProduct,
): Record<'a' | 'b' | 'out', Operand<GPUBuffer>> {
  return {
    a: scratch.put(numbers(batch * m * k, 'f32'), 'f32'),
    b: scratch.put(numbers(batch * n * k, dtype), dtype),
    out: scratch.empty(batch * m * n),
  };
}

function numbers(n: number, dtype: DType): Uint8Array {
  const bytes = new Uint8Array(storageBytes(dtype, n));
  const { blockSize } = dtypeInfo[dtype];
  const pattern = isQuantised(dtype)
    ? blocks(dtype, Math.min(n / blockSize, period.blocks))
    : stored(whole(Math.min(n, period.values), 1), dtype);
  bytes.set(pattern);
  for (let done = pattern.length; done < bytes.length; done *= 2) bytes.copyWithin(done, 0, bytes.length - done);
  return bytes;
}

function stored(values: Float32Array<ArrayBuffer>, dtype: DType): Uint8Array {
  if (dtype !== 'bf16' && dtype !== 'f16') return new Uint8Array(values.buffer);
  return new Uint8Array(Uint16Array.from(values, (value) => packReference(value, dtype)).buffer);
}
