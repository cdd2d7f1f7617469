import { baselineProfile, type DeviceProfile } from '@lapidary/gpu';
import { describe, expect, test } from 'vitest';
import { matmul } from './matmul.js';
import { matrixLayout } from './matmul-matrix.js';
import { productKey, type MatmulProduct } from './matmul-product.js';
import { chooseMatmulVariant, matmulByRule, matmulCandidates, splitOfK } from './matmul-variant.js';
import type { MatmulVariant } from './matmul-variant-names.js';

const gpu = baselineProfile;
const cpu = (subgroup: number): DeviceProfile => ({
  ...gpu,
  adapter: { ...gpu.adapter, isSoftware: true },
  subgroupSize: { min: subgroup, max: subgroup },
});
const without = (...variants: MatmulVariant[]): DeviceProfile => ({
  ...gpu,
  disabledVariants: new Set(variants.map((variant) => `matmul:${variant}`)),
});
const large: MatmulProduct = {
  m: 1024,
  n: 1024,
  k: 640,
  batch: 1,
  transposeA: false,
  transposeB: true,
  dtype: 'f32',
};

describe('on a GPU', () => {
  test.each([
    ['512 tokens through a linear layer', { m: 512, n: 2048, k: 640 }, 'workgroup128'],
    ['too few tiles of 128', { m: 512, n: 640, k: 2048 }, 'workgroup64'],
    ['tiles of 128 that would be half empty', { m: 4096, n: 130 }, 'workgroup64'],
    ['a batch makes up for it', { m: 512, n: 640, k: 2048, batch: 4 }, 'workgroup128'],
    ['one token', { m: 1, n: 262_144, k: 640 }, 'sliced'],
    ['four tokens, a short K', { m: 4, n: 640, k: 8 }, 'sliced'],
    ['four rows by rows of B', { m: 4, n: 640, k: 128, transposeB: false }, 'workgroup64'],
    ['the gradient of a LoRA matrix', { m: 8, n: 640, k: 4096, transposeB: false }, 'sliced'],
    ['the other one', { m: 640, n: 8, k: 4096, transposeB: false }, 'sliced'],
    ['its second half, of a short K', { m: 512, n: 640, k: 8 }, 'workgroup64'],
    ['few tiles and a long K', { m: 128, n: 256, k: 4096 }, 'split'],
    ['few tiles of a batch', { m: 128, n: 256, k: 4096, batch: 2 }, 'workgroup64'],
    ['few tiles, but a K that is not so long', { m: 128, n: 256, k: 1023 }, 'workgroup64'],
    ['skinny, but enough tiles', { m: 16, n: 8192, k: 640 }, 'workgroup64'],
  ] as [string, object, MatmulVariant][])('%s', (_, sizes, variant) => {
    expect(chooseMatmulVariant(gpu, { ...large, ...sizes })).toBe(variant);
  });

  test('K is shared out only where there is memory for it, and in no more parts than keep a device busy', () => {
    const long = { ...large, m: 128, n: 256, k: 4096 };
    expect(chooseMatmulVariant(gpu, long, { canSplit: false })).toBe('workgroup64');
    const kept = { ...gpu, kernelChoices: new Map([[productKey(long), 'split']]) };
    expect(chooseMatmulVariant(kept, long, { canSplit: false })).toBe('workgroup64');
    expect(splitOfK(long, 100)).toEqual({ parts: 16, depth: 256 });
    expect(splitOfK({ ...long, m: 640 }, 100)).toEqual({ parts: 4, depth: 1024 });
    expect(splitOfK(long, 3)).toEqual({ parts: 3, depth: 1368 });
    expect(splitOfK({ ...long, k: 1000, dtype: 'q4_k' }, 100)).toEqual({ parts: 2, depth: 512 });
    expect(splitOfK({ ...long, k: 100 }, 100)).toEqual({ parts: 1, depth: 104 });
    expect(splitOfK({ ...long, k: 0 }, 100)).toEqual({ parts: 1, depth: 8 });
    const x = { buffer: 'x', offset: 0, dtype: 'f32' as const };
    const bytes: number[] = [];
    const workspace = (n: number) => {
      bytes.push(n);
      return { ...x, buffer: 'sums' };
    };
    const calls = matmul(gpu, { ...long, k: 4100, a: x, b: x, out: x, workspace });
    expect(calls.map(({ variant, workgroups }) => `${variant}: ${workgroups.join(' x ')}`)).toEqual([
      'split 64x64 odd: 8 x 1 x 15',
      'split 64x64 odd: 8 x 1 x 1',
      'split sum of 16: 128 x 1 x 1',
    ]);
    expect(bytes).toEqual([16 * 128 * 256 * 4]);
    expect(new Set(calls.map((call) => productKey(call.product!)))).toEqual(new Set(['128x256x4100 nt f32']));
    // In windows of B, one after the other, in the same memory.
    const windows = { ...long, m: 64, k: 262_144, n: 1024, transposeB: false, a: x, b: x, out: x, workspace };
    const { limits } = gpu;
    bytes.length = 0;
    const many = matmul({ ...gpu, limits: { ...limits, maxStorageBufferBindingSize: 2 ** 27 } }, windows);
    expect(many.filter(({ shader }) => shader === 'matmul/combine').length).toBeGreaterThan(4);
    expect(bytes).toHaveLength(1);
  });

  test('what fails its self-test is not used', () => {
    expect(chooseMatmulVariant(without('workgroup128'), large)).toBe('workgroup64');
    expect(chooseMatmulVariant(without('workgroup128', 'workgroup64'), large)).toBe('plain');
    expect(chooseMatmulVariant(without('sliced'), { ...large, m: 1 })).toBe('plain');
    const x = { buffer: 'x', offset: 0, dtype: 'f32' as const };
    const args = { ...large, a: x, b: x, out: x };
    const seen = [gpu, without('workgroup128'), without('workgroup128', 'workgroup64')].map((profile) => {
      const [call] = matmul(profile, args);
      return [call!.variantId, call!.variant, call!.workgroups.join('x')];
    });
    expect(seen).toEqual([
      ['matmul:workgroup128', 'workgroup 128x128', '64x1x1'],
      ['matmul:workgroup64', 'workgroup 64x64', '256x1x1'],
      ['matmul:vec', 'vec 8x8', '512x1x1'],
    ]);
  });
});

describe('on a GPU with subgroup matrices', () => {
  const limits = { ...gpu.limits, maxComputeWorkgroupStorageSize: 49_152 };
  const nvidia = { ...gpu, limits, subgroupSize: { min: 32, max: 32 }, subgroupMatrix: { m: 16, n: 16, k: 16 } };
  const half: DeviceProfile = { ...nvidia, matmulPrecision: 'float16' };

  test('they are measured, and used by rule where f16 may be', () => {
    expect(matmulByRule(nvidia, large)).toBe('workgroup128');
    expect(matmulCandidates(nvidia, large)).toEqual(['workgroup128', 'workgroup64', 'matrix64', 'matrix128']);
    expect(matmulByRule(half, large)).toBe('half128');
    expect(matmulByRule(half, { ...large, m: 512, n: 640 })).toBe('half64');
    expect(matmulByRule(half, { ...large, m: 1 })).toBe('sliced');
    expect(matmulByRule({ ...half, disabledVariants: new Set(['matmul:half128']) }, large)).toBe('half64');
    expect(matmulCandidates(half, { ...large, m: 64 })).toEqual([
      'half64',
      'workgroup64',
      'matrix64',
      'sliced',
      'split',
      'plain',
    ]);
  });

  test('values that f16 cannot hold become two', () => {
    const split = (variant: MatmulVariant, dtype: MatmulProduct['dtype']) =>
      matrixLayout(nvidia, variant, dtype)?.conditions;
    expect(split('matrix64', 'f32')).toEqual({ SPLIT_A: true, SPLIT_B: true });
    expect(split('matrix64', 'q8_0')).toEqual({ SPLIT_A: true, SPLIT_B: true });
    expect(split('matrix64', 'bf16')).toEqual({ SPLIT_A: true, SPLIT_B: false });
    expect(split('half64', 'f32')).toEqual({ SPLIT_A: false, SPLIT_B: false });
  });

  test('not where a device has other matrices, too little memory or too small workgroups', () => {
    const small = { ...nvidia, limits: gpu.limits };
    expect(matrixLayout(small, 'matrix128', 'f32')).toBeUndefined();
    expect(matmulCandidates(small, large)).toEqual(['workgroup128', 'workgroup64']);
    expect(matrixLayout({ ...nvidia, subgroupMatrix: { m: 16, n: 16, k: 64 } }, 'half64', 'f32')).toBeUndefined();
    expect(matrixLayout({ ...nvidia, subgroupSize: { min: 64, max: 64 } }, 'half128', 'f32')).toBeUndefined();
    expect(matmulByRule({ ...small, matmulPrecision: 'float16' }, large)).toBe('half64');
    const x = { buffer: 'x', offset: 0, dtype: 'f32' as const };
    expect(() => matmul(gpu, { ...large, a: x, b: x, out: x, variant: 'matrix64' })).toThrow(/no subgroup matrices/);
  });
});

test('on the CPU: no workgroup memory, subgroups of eight only, and large tiles for more than eight rows', () => {
  expect(chooseMatmulVariant(cpu(8), large)).toBe('subgroup32');
  expect(chooseMatmulVariant(cpu(8), { ...large, m: 9 })).toBe('subgroup32');
  expect(chooseMatmulVariant(cpu(8), { ...large, m: 8, n: 131072 })).toBe('subgroup');
  expect(chooseMatmulVariant(cpu(4), large)).toBe('quad');
  expect(chooseMatmulVariant(cpu(4), { ...large, m: 40 })).toBe('plain16');
  expect(chooseMatmulVariant(cpu(0), large)).toBe('plain16');
  expect(chooseMatmulVariant({ ...cpu(4), disabledVariants: new Set(['matmul:quad']) }, large)).toBe('plain16');
  expect(chooseMatmulVariant(cpu(4), { ...large, m: 8 })).toBe('plain');
  expect(chooseMatmulVariant(cpu(4), { ...large, m: 112, n: 112 })).toBe('plain');
  const without8 = new Set(['matmul:subgroup', 'matmul:subgroup32']);
  expect(chooseMatmulVariant({ ...cpu(8), disabledVariants: without8 }, large)).toBe('plain');
});

describe('choices', () => {
  const choosing = (profile: DeviceProfile, product: MatmulProduct, variant: string): DeviceProfile => ({
    ...profile,
    kernelChoices: new Map([[productKey(product), variant]]),
  });
  const x = { buffer: 'x', offset: 0, dtype: 'f32' as const };
  const planned = (profile: DeviceProfile, sizes: object = {}) =>
    matmul(profile, { ...large, ...sizes, a: x, b: x, out: x })[0]!;

  test('are used by plans, for that product alone', () => {
    const profile = choosing(gpu, large, 'workgroup64');
    expect(planned(gpu).variantId).toBe('matmul:workgroup128');
    expect(planned(profile)).toMatchObject({ variantId: 'matmul:workgroup64', product: large });
    for (const other of [{ m: 1025 }, { transposeB: false }, { transposeA: true }, { batch: 2 }])
      expect(planned(profile, other).variantId).toBe('matmul:workgroup128');
    expect(chooseMatmulVariant(profile, { ...large, dtype: 'bf16' })).toBe('workgroup128');
  });

  test.each(['subgroup', 'sliced', 'tensor-cores', ''])(
    '%o is none for this product here, and is passed over',
    (no) => {
      expect(chooseMatmulVariant(choosing(gpu, large, no), large)).toBe('workgroup128');
    },
  );

  test('what fails its self-test is not used, chosen or not', () => {
    const profile = { ...choosing(gpu, large, 'workgroup64'), ...without('workgroup64') };
    expect(chooseMatmulVariant(profile, large)).toBe('workgroup128');
  });

  test('a forced variant has no product: nothing is to be chosen', () => {
    expect(planned(choosing(gpu, large, 'workgroup64'), { variant: 'plain' })).not.toHaveProperty('product');
    expect(planned(choosing(gpu, large, 'workgroup64'), { variant: 'plain' }).variant).toMatch(/^vec/);
  });

  test.each([
    ['a large product', gpu, {}, ['workgroup128', 'workgroup64']],
    ['one token', gpu, { m: 1 }, ['sliced', 'workgroup64', 'plain']],
    ['a LoRA gradient', gpu, { m: 8, transposeB: false }, ['sliced', 'workgroup64', 'split', 'plain']],
    ['few tiles', gpu, { m: 128, n: 640 }, ['workgroup64', 'workgroup128', 'split', 'plain']],
    ['few tiles, short K', gpu, { m: 128, n: 640, k: 64 }, ['workgroup64', 'workgroup128', 'plain']],
    ['subgroups of eight', cpu(8), {}, ['subgroup32', 'subgroup', 'plain', 'plain16']],
    ['subgroups of four', cpu(4), {}, ['quad', 'plain', 'plain16']],
    ['subgroups of four, few rows', cpu(4), { m: 4 }, ['plain']],
    ['without two', without('workgroup64', 'sliced'), { m: 1 }, ['plain']],
  ] as [string, DeviceProfile, object, MatmulVariant[]][])(
    'candidates of %s, that of the rule first',
    (_, p, s, all) => {
      const product = { ...large, ...s };
      expect(matmulCandidates(p, product)).toEqual(all);
      expect(all[0]).toBe(matmulByRule(p, product));
      for (const variant of all) expect(chooseMatmulVariant(choosing(p, product, variant), product)).toBe(variant);
    },
  );
});
