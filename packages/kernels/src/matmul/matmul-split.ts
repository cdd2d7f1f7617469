import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall } from '../kernel-call.js';
import type { MatmulArgs } from './matmul-args.js';
import { productCall, resultOf, shapeFields, type Part, type Result, type Strides } from './matmul-call.js';
import type { MatmulProduct } from './matmul-product.js';
import { splitOfK } from './matmul-variant.js';
import { shaderCall } from '../shader-call.js';
import { variantId } from '../variants.js';
import { bind } from '../windows.js';

/**
 * Variant `split`: the products over parts of K, side by side in a workspace, and their sum (`shaders/matmul/combine.wesl`). What is
 * left of K where it is no multiple is a part of its own.
 */
export function splitCalls<B>(
  profile: DeviceProfile,
  args: MatmulArgs<B>,
  part: Part,
  strides: Strides,
  product: MatmulProduct,
  result: Result<B>,
): KernelCall<B>[] {
  const { transposeA = false, transposeB = false } = args;
  const { ms, ns, k0, ks } = part;
  const { lda, ldb } = strides;
  if (args.workspace === undefined) throw new RangeError("matmul: 'split' needs a workspace");
  if (strides.batch > 1) throw new RangeError("matmul: 'split' takes one product, not a batch");
  const limits = profile.limits;
  const strideC = Math.ceil((ms * ns) / 64) * 64;
  const { parts, depth } = splitOfK(product, Math.floor(limits.maxStorageBufferBindingSize / (4 * strideC)));
  const sums = args.workspace(parts * strideC * 4);
  const partial = (from: number, deep: number, batch: number) => {
    const out = { ...sums, offset: sums.offset + (from / depth) * strideC * 4 };
    const own = { ldc: ns, strideC, batch };
    const whole = { m0: 0, n0: 0, k0: 0, ms, ns, ks: deep };
    return productCall(
      profile,
      args,
      { ...part, k0: k0 + from, ks: deep },
      {
        ...{ ...strides, ...own },
        strideA: transposeA ? depth * lda : depth,
        strideB: transposeB ? depth : depth * ldb,
      },
      'split',
      resultOf(profile, { out, k: deep }, whole, own),
    );
  };
  const read = bind(sums, 'read', parts * strideC * 4);
  const full = Math.floor(ks / depth);
  const quads = ms * Math.ceil(ns / 4);
  return [
    ...(full > 0 ? [partial(0, depth, full)] : []),
    ...(full < parts ? [partial(full * depth, ks - full * depth, 1)] : []),
    shaderCall('matmul/combine', {
      conditions: result.conditions,
      uniforms: shapeFields({
        ...result,
        m: ms,
        n: ns,
        k: parts,
        across: Math.ceil(ns / 4),
        tiles: quads,
        strideA: strideC,
      }),
      bindings: { parts: read, ...result.bindings },
      workgroups: foldWorkgroups(Math.ceil(quads / 64), limits.maxComputeWorkgroupsPerDimension),
      variant: `split sum of ${parts}`,
      ...variantId('matmul', 'split'),
      work: { flops: 0, bytes: parts * ms * ns * 4 + result.bytes },
    }),
  ];
}
