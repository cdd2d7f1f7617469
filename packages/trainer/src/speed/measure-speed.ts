import { deriveProfile, type Gpu, type MatmulPrecision } from '@lapidary/gpu';
import { byteLength, type DType } from '@lapidary/kernels';
import {
  matmul,
  measureCeiling,
  Program,
  rmsNorm,
  TensorLike,
  trace,
  Variable,
  type Ceiling,
  type InputTypes,
  type Tensor,
} from '@lapidary/tensor';

/** How fast products of a kind are, as training and generation compute them. */
export interface ProductSpeed {
  /** Of the left side: 1 is a token on its way through a layer, many are a step of training. */
  readonly rows: number;
  /** Of the weights. */
  readonly dtype: DType;
  readonly precision: MatmulPrecision;
  readonly flopsPerSecond: number;
  /** Weights, what they are multiplied with, and the result. */
  readonly bytesPerSecond: number;
}

/** What was measured of a device in a few seconds. */
export interface DeviceSpeed {
  /** Multiply-adds in registers, and copies. */
  readonly ceiling: Ceiling;
  readonly products: readonly ProductSpeed[];
  /** What one more kernel takes that has next to nothing to do. */
  readonly dispatchSeconds: number;
  /** What a run takes that has next to nothing to do, its result read back. */
  readonly runSeconds: number;
}

/** A linear layer of a model of 1 to 4 billion parameters. */
const linear = { inSize: 1024, outSize: 4096 };
/** Kernels in the chain that shows what one takes by itself. */
const chain = 64;
/** How often at least, and for how long if there is time for more: the best of many is what a busy machine can do. */
const repeats = { least: 3, milliseconds: 150 };

/** Measures a device for `estimateSeconds`, in some five seconds; all memory is given back. @throws AbortError by the signal */
export async function measureSpeed(gpu: Gpu, { signal }: { readonly signal?: AbortSignal } = {}): Promise<DeviceSpeed> {
  const ceiling = await measureCeiling(gpu);
  // As many rows as keep a device busy.
  const many = gpu.profile.adapter.isSoftware ? 128 : 1024;
  const products: ProductSpeed[] = [];
  for (const dtype of ['f32', 'bf16', 'q8_0'] as const)
    for (const rows of [many, 1]) {
      signal?.throwIfAborted();
      products.push(await measureProduct(gpu, { rows, dtype, precision: 'float32' }));
    }
  if (gpu.profile.features.has('shader-f16'))
    products.push(await measureProduct(gpu, { rows: many, dtype: 'bf16', precision: 'float16' }));
  signal?.throwIfAborted();
  const [one, all] = [await secondsOfChain(gpu, 1), await secondsOfChain(gpu, 1 + chain)];
  return { ceiling, products, dispatchSeconds: Math.max(0, all - one) / chain, runSeconds: one };
}

async function measureProduct(
  gpu: Gpu,
  kind: Pick<ProductSpeed, 'rows' | 'dtype' | 'precision'>,
): Promise<ProductSpeed> {
  const { rows, dtype, precision } = kind;
  const { inSize, outSize } = linear;
  const profile = deriveProfile(gpu.profile, { matmulPrecision: precision });
  const weight = new Variable('weight', { shape: [outSize, inSize], dtype }, 'weights');
  const x = new TensorLike('f32', [rows, inSize]);
  const { plan } = trace(
    profile,
    ({ x }: { x: Tensor }) => ({ outputs: { y: matmul(x, weight.tensor, { transposeB: true }) } }),
    { x },
  );
  try {
    weight.allocate(gpu);
    const program = await Program.create(gpu, plan);
    try {
      const inputs = { x: new Float32Array(rows * inSize).fill(1) };
      const seconds = await bestOf(async () => (await program.profile(inputs)).nanoseconds / 1e9);
      const bytes = byteLength(dtype, inSize * outSize) + 4 * rows * (inSize + outSize);
      return { ...kind, flopsPerSecond: (2 * rows * inSize * outSize) / seconds, bytesPerSecond: bytes / seconds };
    } finally {
      program.destroy();
    }
  } finally {
    weight.destroy();
  }
}

/** Seconds of a run of kernels, one after the other, by the host's clock. */
async function secondsOfChain(gpu: Gpu, length: number): Promise<number> {
  const types = { x: new TensorLike('f32', [1, 64]), weight: new TensorLike('f32', [64]) } satisfies InputTypes;
  const { plan } = trace(
    gpu.profile,
    ({ x, weight }: { x: Tensor; weight: Tensor }) => {
      let y = x;
      for (let i = 0; i < length; i++) y = rmsNorm(y, weight, { eps: 1e-6 });
      return { outputs: { y } };
    },
    types,
  );
  const program = await Program.create(gpu, plan);
  try {
    const inputs = { x: new Float32Array(64).fill(1), weight: new Float32Array(64).fill(1) };
    return await bestOf(async () => {
      const began = performance.now();
      program.run(inputs);
      await program.read('y');
      return (performance.now() - began) / 1000;
    });
  } finally {
    program.destroy();
  }
}

/** Drivers compile on the first run, which does not count. */
async function bestOf(secondsOf: () => Promise<number>): Promise<number> {
  await secondsOf();
  const end = performance.now() + repeats.milliseconds;
  let best = Infinity;
  for (let n = 0; n < repeats.least || performance.now() < end; n++) best = Math.min(best, await secondsOf());
  return best;
}
