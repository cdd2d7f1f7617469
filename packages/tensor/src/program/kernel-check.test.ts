import { Gpu, openGpu, type PipelineSpec } from '@lapidary/gpu';
import { KernelCheckError } from '@lapidary/kernels';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  attention,
  compile,
  DisabledVariantError,
  evaluate,
  Program,
  TensorLike,
  trace,
  type Tensor,
} from '../index.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

/** The same device as if it were a GPU, whose driver computes wrong numbers with shaders of this name. */
function gpuWithWrong(isWrong: (shader: string) => boolean): Gpu {
  const { profile } = gpu;
  const other = new Gpu(gpu.device, { ...profile, adapter: { ...profile.adapter, isSoftware: false } });
  const get = other.pipelines.get.bind(other.pipelines);
  other.pipelines.get = (spec: PipelineSpec) =>
    get(
      isWrong(spec.shader)
        ? {
            shader: 'test/does_nothing',
            access: spec.access,
            source: '@compute @workgroup_size(1) fn main() {}',
          }
        : spec,
    );
  return other;
}

const [tokens, headDim] = [6, 8];
const shape = [1, tokens, 1, headDim];
const values = Float32Array.from({ length: tokens * headDim }, (_, i) => Math.sin(i * 7));
const info = Int32Array.from({ length: tokens * 4 }, (_, i) => (i % 4 === 0 ? 1 : i % 4 === 3 ? 0 : i >> 2));
const types = { x: new TensorLike('f32', shape), info: new TensorLike('i32', [1, tokens, 4]) };
const inputs = { x: { data: values, shape }, info: { data: info, shape: [1, tokens, 4] } };
const model = ({ x, info: records }: Record<string, Tensor>) => ({
  outputs: attention(x!, x!, x!, records!, records!, { scale: 0.3 }),
});

it('a compiled function does without a variant that is wrong on its device, and the user is told', async () => {
  const right = await (await compile(gpu, model)(inputs)).read();
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  try {
    const device = gpuWithWrong((shader) => shader.endsWith('_tiled'));
    const early = trace(device.profile, model, types).plan;
    expect(early.calls[0]!.variant).toBe('workgroup');
    const step = compile(device, model);
    const found = await (await step(inputs)).read();
    found.forEach((v, i) => expect(v).toBeCloseTo(right[i]!, 6));
    expect((await step.program(types)).plan.calls[0]!.variant).toBe('plain');
    expect(warn.mock.calls.flat().join('\n')).toMatch(/attentionForward:workgroup .* is not used there/);
    // A plan from before the check is refused, not run.
    const refused = await Program.create(device, early).catch((e: unknown) => e);
    expect(refused).toBeInstanceOf(DisabledVariantError);
    expect((refused as DisabledVariantError).variantId).toBe('attentionForward:workgroup');
    step.destroy();
  } finally {
    warn.mockRestore();
  }
});

it('nothing runs on a device whose plain kernels are wrong', async () => {
  // The tiled ones too, since lavapipe takes minutes to compile them as GPUs do.
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  try {
    const device = gpuWithWrong((shader) => shader.endsWith('_tiled') || shader === 'softmax/softmax');
    await expect(compile(device, model)(inputs)).rejects.toThrow(KernelCheckError);
    await expect(evaluate(device, [])).rejects.toThrow(/softmax .* fails its self-test on .*out\[0\] is NaN/);
    await expect(Program.create(device, trace(device.profile, model, types).plan)).rejects.toThrow(KernelCheckError);
  } finally {
    warn.mockRestore();
  }
});
