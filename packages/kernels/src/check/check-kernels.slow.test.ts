import { Gpu, openGpu, type PipelineSpec } from '@lapidary/gpu';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attentionForward } from '../attention/attention-forward.js';
import { crossEntropyChunkForward } from '../loss/cross-entropy.js';
import { matmul } from '../matmul/matmul.js';
import { checkKernels, KernelCheckError } from './check-kernels.js';
import { kernelCases, runKernelCases } from './run-kernel-cases.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const casesOf = (...kernels: string[]) => kernelCases.filter(({ kernel }) => kernels.includes(kernel));

/** The same device as if it were no adapter of the CPU, whose driver turns some shaders into others. */
function gpuThat(breaks: (spec: PipelineSpec) => PipelineSpec): Gpu {
  const { profile } = gpu;
  const other = new Gpu(gpu.device, { ...profile, adapter: { ...profile.adapter, isSoftware: false } });
  const get = other.pipelines.get.bind(other.pipelines);
  other.pipelines.get = (spec) => get(breaks(spec));
  return other;
}

/** A kernel with the bindings of another, that writes one wrong value into the last of them. */
function wrong(spec: PipelineSpec): PipelineSpec {
  const bindings = spec.access
    .map((a, i) => `@group(0) @binding(${i + 1}) var<storage, ${a}> b${i}: array<f32>;`)
    .join('\n');
  const last = spec.access.lastIndexOf('read_write');
  return {
    shader: `${spec.shader}_broken`,
    access: spec.access,
    source: `${bindings}\n@compute @workgroup_size(1) fn main() { b${last}[0] = 123.0; }`,
  };
}

const operand = { buffer: 'x', offset: 0, dtype: 'f32' as const };
const variantOf = {
  attention: (device: Gpu) =>
    attentionForward(device.profile, {
      batch: 1,
      queries: 64,
      keys: 64,
      heads: 1,
      kvHeads: 1,
      headDim: 64,
      scale: 1,
      q: operand,
      k: operand,
      v: operand,
      qInfo: operand,
      kInfo: operand,
      out: operand,
      lse: operand,
    })[0]!.variant,
  crossEntropy: (device: Gpu) =>
    crossEntropyChunkForward(device.profile, {
      logits: operand,
      targets: operand,
      state: operand,
      rows: 1,
      chunkStart: 0,
      chunkSize: 8,
      rowStride: 8,
      softcap: 0,
      first: true,
    })[0]!.variant,
  matmul: (device: Gpu, m = 8) =>
    matmul(device.profile, { a: operand, b: operand, out: operand, m, n: m, k: 8 })[0]!.variant,
};

describe('checkKernels', () => {
  it('runs nothing on an adapter of the CPU', async ({ skip }) => {
    if (!gpu.profile.adapter.isSoftware) return skip('a GPU');
    const { created } = gpu.pipelines;
    expect(await checkKernels(gpu)).toEqual({ ran: false, passed: [], disabled: [] });
    expect(gpu.pipelines.created).toBe(created);
  });

  it('finds every kernel right when forced, once a device, and gives its memory back', async () => {
    const { bytes } = gpu.counters;
    const check = checkKernels(gpu, { force: true });
    const { ran, passed, disabled } = await check;
    expect(ran).toBe(true);
    expect(disabled).toEqual([]);
    expect(passed.map(({ kernel }) => kernel)).toEqual([...new Set(kernelCases.map(({ kernel }) => kernel))]);
    expect(passed.find(({ kernel }) => kernel === 'matmul')!.variants).toContain(variantOf.matmul(gpu));
    expect(gpu.counters.bytes).toBe(bytes);
    expect(checkKernels(gpu, { force: true })).toBe(check);
  });

  it('takes a variant that computes wrong numbers out of use, by name, and checks the one that takes over', async () => {
    const broken = gpuThat((spec) => (spec.shader.startsWith('attention/forward_tiled') ? wrong(spec) : spec));
    expect(variantOf.attention(broken)).toBe('workgroup');
    const notices: string[] = [];
    const { passed, disabled } = await runKernelCases(broken, casesOf('attentionForward'), (m) => notices.push(m));
    expect(disabled.map(({ variantId }) => variantId)).toEqual(['attentionForward:workgroup']);
    expect(disabled[0]!.difference).toMatch(/^out\[\d+\] is .*, should be /);
    expect(notices).toEqual([expect.stringMatching(/attentionForward:workgroup .* on .* is not used there: out\[/)]);
    expect(disabled[0]!.message).toBe(notices[0]);
    expect(passed).toEqual([{ kernel: 'attentionForward', variants: expect.arrayContaining(['plain']) }]);
    expect(passed[0]!.variants.join()).not.toContain('workgroup');
    expect(broken.profile.disabledVariants).toEqual(new Set(['attentionForward:workgroup']));
    expect(variantOf.attention(broken)).toBe('plain');
    // Others are as they were, and so are other devices.
    expect(variantOf.crossEntropy(broken)).toBe('workgroup');
    expect(gpu.profile.disabledVariants).toBeUndefined();
  });

  it('keeps a workgroup variant that is right, and drops it for one of two shaders that is wrong', async () => {
    const cases = casesOf('crossEntropyChunkForward');
    const fine = await runKernelCases(
      gpuThat((spec) => spec),
      cases,
      () => undefined,
    );
    expect(fine.disabled).toEqual([]);
    expect(fine.passed[0]!.variants).toContain('workgroup');
    // Only where a chunk is not the first.
    const broken = gpuThat((spec) => {
      const { WORKGROUP, FIRST } = spec.conditions ?? {};
      return WORKGROUP && !FIRST ? wrong(spec) : spec;
    });
    const { disabled } = await runKernelCases(broken, cases, () => undefined);
    expect(disabled.map(({ variantId }) => variantId)).toEqual(['crossEntropyChunkForward:workgroup']);
    expect(variantOf.crossEntropy(broken)).toBe('plain');
  });

  it('takes a variant that does not compile out of use', async () => {
    const broken = gpuThat((spec) =>
      spec.shader.endsWith('_tiled') ? { ...spec, conditions: {}, source: 'fn main() { let x: u32 = 1.5; }' } : spec,
    );
    const { disabled } = await runKernelCases(broken, casesOf('attentionBackward'), () => undefined);
    expect(disabled.map(({ variantId }) => variantId)).toEqual(['attentionBackward:workgroup']);
    expect(disabled[0]!.difference).toContain('attention/backward_kv_tiled.wesl:1:');
  });

  it('runs every matrix product of a GPU, and turns to another tile where one is wrong', async () => {
    const broken = gpuThat((spec) => (spec.conditions?.LARGE ? wrong(spec) : spec));
    expect(variantOf.matmul(broken, 1024)).toBe('workgroup 128x128');
    const { disabled, passed } = await runKernelCases(broken, casesOf('matmul'), () => undefined);
    expect(disabled.map(({ variantId }) => variantId)).toEqual(['matmul:workgroup128']);
    expect(new Set(passed[0]!.variants)).toEqual(
      new Set([
        ...['workgroup 64x64', 'workgroup 64x64 odd', 'sliced 1x8', 'sliced 4x8', 'sliced 4x8 odd'],
        ...['split 64x64', 'split 64x64 odd', 'split sum of 4'],
      ]),
    );
    expect(variantOf.matmul(broken, 1024)).toBe('workgroup 64x64');
  });

  it('turns to plain products, and to scalar loads, where vector loads are wrong', async () => {
    const broken = gpuThat((spec) => (spec.conditions?.B_VEC && !spec.conditions.W_Q8_0 ? wrong(spec) : spec));
    // Few, since lavapipe takes seconds to compile some.
    const cases = casesOf('matmul').filter(({ what }) => /one row|8 rows|odd sizes|q8_0/.test(what));
    expect(variantOf.matmul(broken)).toBe('workgroup 64x64');
    const { disabled, passed } = await runKernelCases(broken, cases, () => undefined);
    expect(disabled.map(({ variantId }) => variantId)).toEqual(['matmul:workgroup64', 'matmul:vec']);
    expect(passed[0]!.variants).toEqual(expect.arrayContaining(['scalar 8x8', 'sliced 1x8 odd']));
    expect(variantOf.matmul(broken)).toBe('scalar 8x8');
  });

  it('throws where a kernel is wrong that has no other variant, and names kernel, adapter and value', async () => {
    const broken = gpuThat((spec) => (spec.shader === 'norm/rms_norm' ? wrong(spec) : spec));
    const error = await runKernelCases(broken, casesOf('rmsNorm'), () => undefined).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(KernelCheckError);
    const { kernel, adapter, difference } = error as KernelCheckError;
    expect(kernel).toBe('rmsNorm');
    expect(difference).toMatch(/^out\[0\] is .*, should be -?\d/);
    expect((error as KernelCheckError).message).toContain(adapter);
    expect(adapter).toContain(gpu.profile.adapter.description || gpu.profile.adapter.vendor);
  });

  it('throws what is wrong with the device before it looks at a kernel', async () => {
    gpu.device.queue.writeBuffer(gpu.createBuffer(16, 'small'), 0, new Uint8Array(64));
    await gpu.device.queue.onSubmittedWorkDone();
    await expect(runKernelCases(gpu, [], () => undefined)).rejects.toThrow(/does not fit/);
  });
});
