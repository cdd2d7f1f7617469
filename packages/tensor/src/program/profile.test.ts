import { Gpu, GpuTimer, openGpu, TimestampsUnavailableError } from '@lapidary/gpu';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  add,
  compile,
  matmul,
  mul,
  planProgram,
  Program,
  sum,
  sumOfSquares,
  TensorLike,
  tanh,
  trace,
  variableFrom,
  type CompiledFunction,
} from '../index.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const type = new TensorLike('f32', [64, 64]);
const data = Float32Array.from({ length: 64 * 64 }, (_, i) => Math.sin(i));

/** Two products, a fused chain and a sum; counts its runs. */
function counted(device: Gpu): { step: CompiledFunction; runs: () => Promise<number> } {
  const count = variableFrom(device, Float32Array.of(0), [1], { category: 'trainable' });
  const step = compile(device, ({ x }) => {
    const y = matmul(matmul(x!, x!), x!);
    return { outputs: { s: sum(tanh(mul(y, 2))) }, updates: [{ variable: count, value: add(count.tensor, 1) }] };
  });
  const read = async () => {
    const program = await Program.create(device, planProgram(device.profile, [count.tensor], []));
    program.run();
    const [value] = await program.read(0);
    program.destroy();
    return value!;
  };
  return { step, runs: read };
}

it.for(['gpu', 'wall'] as const)('says what each kernel took, on the %s clock', async (clock, { skip }) => {
  if (clock === 'gpu' && !GpuTimer.isSupported(gpu)) skip('no timestamp-query here');
  const { step, runs } = counted(gpu);
  const plain = await (await step({ x: { data, shape: [64, 64] } })).read('s');
  const program = await step.program({ x: type });
  const { bytes } = gpu.counters;
  const profile = await program.profile({ x: data }, { clock });
  // A run like any other, whose own memory is given back.
  expect(await program.read(0)).toEqual(plain);
  expect(await runs()).toBe(2);
  expect(gpu.counters.bytes).toBe(bytes);

  expect(profile.clock).toBe(clock);
  expect(profile.kernels.reduce((calls, kernel) => calls + kernel.calls, 0)).toBe(program.plan.calls.length);
  const product = profile.kernels.find(({ op }) => op === 'matmul')!;
  expect(product).toMatchObject({
    kernel: expect.stringMatching(/^matmul\//),
    calls: 2,
    flops: 2 * 2 * 64 ** 3,
    bytes: 2 * 3 * 64 * 64 * 4,
    ofCeiling: null,
  });
  // Every dispatch of the program, in its order.
  expect(profile.dispatches.map(({ kernel }) => kernel)).toEqual(program.plan.calls.map(({ shader }) => shader));
  expect(profile.dispatches.find(({ op }) => op === 'matmul')).toMatchObject({
    types: 'f32[64, 64], f32[64, 64] → f32[64, 64]',
    flops: 2 * 64 ** 3,
  });
  expect(profile.dispatches.reduce((s, { nanoseconds }) => s + nanoseconds, 0)).toBe(profile.nanoseconds);
  expect(profile.kernels.some(({ kernel }) => kernel === 'elementwise/fused')).toBe(true);
  for (const { nanoseconds, share } of profile.kernels) {
    expect(nanoseconds).toBeGreaterThanOrEqual(0);
    expect(share).toBeGreaterThanOrEqual(0);
  }
  const times = profile.kernels.map(({ nanoseconds }) => nanoseconds);
  expect(times).toEqual([...times].sort((a, b) => b - a));
  expect(times.reduce((a, b) => a + b, 0)).toBeCloseTo(profile.nanoseconds, 3);
  if (profile.nanoseconds > 0) expect(profile.kernels.reduce((s, k) => s + k.share, 0)).toBeCloseTo(1, 6);
  step.destroy();
});

it('holds more kernels than one measurement', async () => {
  const step = compile(gpu, ({ x }) => {
    let y = x!;
    for (let i = 0; i < 300; i++) y = matmul(y, x!);
    return { outputs: { y } };
  });
  const program = await step.program({ x: new TensorLike('f32', [4, 4]) });
  const identity = Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0));
  const { kernels } = await program.profile({ x: identity });
  expect(kernels).toEqual([expect.objectContaining({ op: 'matmul', calls: 300 })]);
  expect(await program.read(0)).toEqual(identity);
  step.destroy();
});

it('names the first of many tensors', () => {
  const { plan } = trace(gpu.profile, (inputs) => ({ outputs: { s: sumOfSquares(Object.values(inputs)) } }), {
    ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`x${i}`, new TensorLike('f32', [i + 1])])),
  });
  expect(plan.callNames).toHaveLength(plan.callTypes.length);
  expect(plan.callTypes[0]).toBe('f32[1], f32[2], f32[3], … (9 tensors) → f32[]');
});

it('takes the wall clock where there are no timestamps, and says so; asked for the GPU clock it throws', async () => {
  const features = new Set([...gpu.profile.features].filter((feature) => feature !== 'timestamp-query'));
  const without = new Gpu(gpu.device, { ...gpu.profile, features });
  const { step } = counted(without);
  const program = await step.program({ x: type });
  const profile = await program.profile({ x: data });
  expect(profile.clock).toBe('wall');
  expect(profile.nanoseconds).toBeGreaterThan(0);
  await expect(program.profile({ x: data }, { clock: 'gpu' })).rejects.toThrow(TimestampsUnavailableError);
  step.destroy();
});
