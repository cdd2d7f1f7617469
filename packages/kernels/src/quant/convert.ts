import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength, dtypeInfo, isQuantised, type DType } from '../dtype.js';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall, type ShaderConditions } from '../shader-call.js';
import { weightConditions } from '../weight-conditions.js';
import { bind, rowWindows } from '../windows.js';

type Conditions = ShaderConditions<'quant/convert'>;

interface Conversion<B> {
  readonly x: Operand<B>;
  readonly out: Operand<B>;
  /** Values. */
  readonly n: number;
}

/**
 * out = x in another storage type: f32 ↔ bf16, f32 ↔ f16 (round to nearest even), i32 → f32 (`shaders/quant/convert.wesl`).
 * @throws RangeError for other types; BindingLimitError.
 */
export function convert<B>(
  profile: DeviceProfile,
  { x, out, n, from, to }: Conversion<B> & { readonly from: DType; readonly to: DType },
): KernelCall<B>[] {
  const pair = `${from} ${to}`;
  const conditions: Conditions | undefined = {
    'f32 bf16': { TO_BF16: true },
    'f32 f16': { TO_F16: true },
    'i32 f32': { FROM_I32: true },
    'bf16 f32': { FROM_PACKED: true, ...weightConditions('bf16', 1) },
    'f16 f32': { FROM_PACKED: true, ...weightConditions('f16', 1) },
  }[pair];
  if (conditions === undefined) throw new RangeError(`convert: cannot convert ${from} to ${to}`);
  const packs = to !== 'f32';
  return calls(profile, { x, out, n }, from, to, conditions, packs ? 2 : 1);
}

/** f32 values of a tensor in GGUF blocks, f16 or bf16. */
export function dequantise<B>(
  profile: DeviceProfile,
  { x, out, n, from }: Conversion<B> & { readonly from: DType },
): KernelCall<B>[] {
  if (!isQuantised(from)) return convert(profile, { x, out, n, from, to: 'f32' });
  return calls(profile, { x, out, n }, from, 'f32', { FROM_BLOCKS: true, ...weightConditions(from) }, 8);
}

function calls<B>(
  profile: DeviceProfile,
  { x, out, n }: Conversion<B>,
  from: DType,
  to: DType,
  conditions: Conditions,
  perThread: number,
): KernelCall<B>[] {
  // Windows are made of whole blocks, or of single values where there are none.
  const block = dtypeInfo[from].blockSize;
  const isPacked = conditions.FROM_PACKED || conditions.FROM_BLOCKS;
  const inBytes = byteLength(from, block);
  const outBytes = byteLength(to, block);
  return rowWindows(n / block, [inBytes, outBytes], profile.limits.maxStorageBufferBindingSize).map(
    ({ start, count }) => {
      const values = count * block;
      const threads = Math.ceil(values / perThread);
      const read = bind(x, 'read', count * inBytes, start * inBytes);
      return shaderCall('quant/convert', {
        conditions,
        uniforms: { n: values, threads },
        bindings: {
          out: bind(out, 'read_write', count * outBytes, start * outBytes),
          ...(isPacked ? { weights: read } : { x: read }),
        },
        workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
        variant: 'plain',
      });
    },
  );
}
