import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, test } from 'vitest';
import { attentionBackward } from './attention-backward.js';
import { attentionForward } from './attention-forward.js';
import { AttentionLimitError, type AttentionVariant } from './attention-plan.js';
import { referenceAttention, referenceAttentionBackward, sees } from '../reference/attention.js';
import { gpuBackward, gpuForward, makeInput, type AttentionCase } from '../testing/attention-cases.js';
import { randomCases } from '../testing/random-cases.js';
import { randomArray, relativeError, testGpu } from '../testing/test-gpu.js';
import { asGpu, bindingFaults } from '../testing/tiny-profile.js';
import { hasSubgroupsOf8 } from '../variants.js';

// Where a device has something better, its compiler takes most of a minute for the plain variant: one case of it is enough there.
const { profile } = await testGpu();
const isLavapipe = /llvmpipe/i.test(profile.adapter.description + profile.adapter.device);
const variants: AttentionVariant[] = [hasSubgroupsOf8(profile) ? 'subgroup' : 'plain', 'workgroup'];

const base: AttentionCase = {
  mask: 'causal',
  batch: 1,
  queries: 1,
  keys: 1,
  heads: 1,
  kvHeads: 1,
  headDim: 8,
  scale: 0.35,
};
const self = (tokens: number, rest: Partial<AttentionCase>): AttentionCase => ({
  ...base,
  queries: tokens,
  keys: tokens,
  ...rest,
});

const training: AttentionCase[] = [
  self(1, {}),
  self(2, { mask: 'full', headDim: 4 }),
  self(7, { batch: 3, heads: 2, kvHeads: 2, headDim: 4, seed: 2 }),
  self(13, { batch: 2, heads: 3, kvHeads: 1, headDim: 20, mask: 'prefix', seed: 3 }),
  self(17, { heads: 6, kvHeads: 2, headDim: 8, softcap: 2, seed: 4, spread: 3 }),
  self(19, { batch: 2, heads: 2, kvHeads: 1, headDim: 64, mask: 'padding', scale: 0.125, seed: 5 }),
  self(37, { batch: 2, heads: 4, kvHeads: 4, headDim: 8, mask: 'documents', window: 5, seed: 6 }),
  self(41, { heads: 5, kvHeads: 5, headDim: 72, mask: 'full', scale: 72 ** -0.5, seed: 7 }),
  self(23, { heads: 4, kvHeads: 1, headDim: 256, scale: 1 / 16, softcap: 50, seed: 8 }),
  self(67, { heads: 2, kvHeads: 1, headDim: 20, window: 17, softcap: 3, seed: 9, spread: 2 }),
  self(61, { batch: 2, heads: 8, kvHeads: 1, headDim: 8, window: 1, seed: 10 }),
  self(130, { heads: 2, kvHeads: 2, headDim: 64, mask: 'documents', scale: 0.125, softcap: 30, seed: 11 }),
  self(29, { batch: 2, heads: 2, kvHeads: 2, headDim: 128, mask: 'prefix', window: 6, scale: 128 ** -0.5, seed: 12 }),
  // In both directions within a window, as an embedding model's local layers see: windows that are even, odd, and of a tile and more.
  self(45, { batch: 3, heads: 3, kvHeads: 1, headDim: 24, mask: 'texts', window: 4, seed: 13 }),
  self(59, {
    batch: 3,
    heads: 3,
    kvHeads: 1,
    headDim: 64,
    mask: 'texts',
    window: 9,
    scale: 0.125,
    seed: 14,
    spread: 2,
  }),
  self(131, { batch: 2, heads: 4, kvHeads: 2, headDim: 8, mask: 'texts', window: 33, seed: 15 }),
  self(70, { heads: 3, kvHeads: 1, headDim: 12, mask: 'full', window: 1, seed: 16 }),
  // Runs of tokens that see each other in both directions among causal ones, within a window that bounds only what is before.
  self(45, { batch: 3, heads: 6, kvHeads: 3, headDim: 8, mask: 'pictures', window: 3, seesAhead: true, seed: 17 }),
  self(90, { heads: 2, kvHeads: 1, headDim: 64, mask: 'pictures', window: 9, seesAhead: true, scale: 0.125, seed: 18 }),
];

/** Heads of more than 256: of the workgroup variant another pipeline. Groups of 16; keys of several tiles; heads that fill no tile. */
const large: AttentionCase[] = [
  self(5, { batch: 2, heads: 16, kvHeads: 1, headDim: 512, mask: 'prefix', scale: 1, spread: 0.3, seed: 17 }),
  self(37, { heads: 4, kvHeads: 2, headDim: 388, mask: 'padding', window: 9, scale: 0.05, seed: 18 }),
  self(67, { heads: 2, kvHeads: 1, headDim: 452, mask: 'documents', scale: 0.05, seed: 19 }),
];
const largeDecoding: AttentionCase = {
  ...base,
  ...{ batch: 2, queries: 1, keys: 190, heads: 16, kvHeads: 1, headDim: 512, scale: 0.05, seed: 20 },
};

const decoding: AttentionCase[] = [
  { ...base, batch: 2, queries: 1, keys: 11, heads: 4, kvHeads: 2 },
  { ...base, queries: 3, keys: 301, heads: 4, kvHeads: 1, headDim: 64, scale: 0.125, seed: 21 },
  { ...base, batch: 2, queries: 8, keys: 517, heads: 2, kvHeads: 1, headDim: 20, window: 40, seed: 22 },
  {
    ...base,
    batch: 3,
    queries: 1,
    keys: 200,
    heads: 8,
    kvHeads: 2,
    headDim: 16,
    mask: 'padding',
    seed: 23,
    softcap: 4,
  },
];

const drawn = randomCases(6, 1, ({ int, pick }): AttentionCase => {
  const kvHeads = int(1, 3);
  const headDim = 4 * int(1, 20);
  return self(int(1, 80), {
    batch: int(1, 3),
    heads: kvHeads * int(1, 3),
    kvHeads,
    headDim,
    scale: headDim ** -0.5,
    mask: pick(['causal', 'full', 'prefix', 'padding', 'documents']),
    window: pick([0, int(1, 40)]),
    softcap: pick([0, 3]),
    seed: int(1, 1000),
  });
});

const name = (c: AttentionCase) =>
  `${c.mask} B${c.batch} T${c.queries}${c.keys === c.queries ? '' : `/${c.keys}`} H${c.heads}/${c.kvHeads} D${c.headDim}` +
  `${c.window ? ` window ${c.window}` : ''}${c.seesAhead ? ' ahead' : ''}${c.softcap ? ` softcap ${c.softcap}` : ''}`;

/** Holds a case's results and gradients against float64: f32 sums of D products and of T weights, a few units in the last place. */
async function check(c: AttentionCase, variant: AttentionVariant, profile?: DeviceProfile): Promise<void> {
  const gpu = await testGpu();
  const a = makeInput(c);
  const how = { variant, ...(profile && { profile }) };
  const forward = await gpuForward(gpu, a, how);
  const expected = referenceAttention(a);
  expect(relativeError(forward.out, expected.out)).toBeLessThan(1e-6);
  expect(relativeError(forward.lse, expected.lse)).toBeLessThan(1e-6);
  const dOut = randomArray(a.q.length, 99);
  const found = await gpuBackward(gpu, a, forward, dOut, how);
  const gradients = referenceAttentionBackward(a, dOut);
  for (const key of ['dq', 'dk', 'dv'] as const) {
    // Gradients that are 0 in theory (one key seen: its weight is 1 whatever the score) are the rounding of their terms.
    const size = Math.max(Math.hypot(...gradients[key]), 0.1 * Math.hypot(...dOut));
    expect(Math.hypot(...found[key].map((x, i) => x - gradients[key][i]!)) / size, key).toBeLessThan(5e-6);
  }
}

/** Holds a case's result against float64, with the keys shared out, where that is of use, and not. */
async function checkDecoding(c: AttentionCase, variant: AttentionVariant, profile?: DeviceProfile): Promise<void> {
  const gpu = await testGpu();
  const a = makeInput(c);
  const expected = referenceAttention(a);
  for (const split of [true, false]) {
    const { out, lse } = await gpuForward(gpu, a, { variant, split, ...(profile && { profile }) });
    expect(relativeError(out, expected.out)).toBeLessThan(1e-6);
    expect(relativeError(lse, expected.lse)).toBeLessThan(1e-6);
  }
}

describe.each(variants)('attention, %s', (variant) => {
  // Other adapters try the pipeline of large heads below, as GPUs get it.
  const hasLarge = variant !== 'workgroup' || isLavapipe;
  test.each([...[...training, ...(hasLarge ? large : [])].map((c) => [name(c), c] as const), ...drawn])(
    '%s: forward and gradients agree with float64',
    (_, c) => check(c, variant),
  );

  test.each([...decoding, ...(hasLarge ? [largeDecoding] : [])].map((c) => [name(c), c] as const))(
    'decoding %s: keys shared out or not',
    (_, c) => checkDecoding(c, variant),
  );

  test('what a query may not see changes nothing, not even NaN', async () => {
    const gpu = await testGpu();
    const c = self(41, {
      batch: 2,
      heads: 4,
      kvHeads: 2,
      headDim: 8,
      mask: 'padding',
      window: 9,
      softcap: 5,
      seed: 31,
    });
    const a = makeInput(c);
    const dOut = randomArray(a.q.length, 32);
    const before = await gpuForward(gpu, a, { variant });
    const gradients = await gpuBackward(gpu, a, before, dOut, { variant });

    // Tokens 20 … of both rows change, the padding among them to infinity.
    const changed = { ...a, k: a.k.slice(), v: a.v.slice(), q: a.q.slice() };
    const perToken = c.kvHeads * c.headDim;
    for (let b = 0; b < c.batch; b++) {
      for (let t = 20; t < c.keys; t++) {
        const value = a.kInfo[(b * c.keys + t) * 4] === 0 ? Infinity : 0.5;
        changed.k.fill(value, (b * c.keys + t) * perToken, (b * c.keys + t + 1) * perToken);
        changed.v.fill(value, (b * c.keys + t) * perToken, (b * c.keys + t + 1) * perToken);
      }
    }
    const after = await gpuForward(gpu, changed, { variant });
    let differing = 0;
    for (let b = 0; b < c.batch; b++) {
      for (let t = 0; t < c.queries; t++) {
        const at = (b * c.queries + t) * c.heads * c.headDim;
        const row = (x: Float32Array) => [...x.subarray(at, at + c.heads * c.headDim)];
        if (t < 20) expect(row(after.out)).toEqual(row(before.out));
        else if (row(after.out).join() !== row(before.out).join()) differing++;
        expect(row(after.out).every(Number.isFinite)).toBe(true);
      }
    }
    expect(differing).toBeGreaterThan(0);

    // Nor does what lies in padding change a gradient.
    const padded = { ...a, q: a.q.slice(), k: a.k.slice(), v: a.v.slice() };
    const [paddedOut, paddedGradient] = [before.out.slice(), dOut.slice()];
    for (let t = 0; t < c.batch * c.keys; t++) {
      if (a.kInfo[t * 4] !== 0) continue;
      for (const x of [padded.k, padded.v]) x.fill(NaN, t * perToken, (t + 1) * perToken);
      const perQuery = c.heads * c.headDim;
      for (const x of [padded.q, paddedOut, paddedGradient]) x.fill(Infinity, t * perQuery, (t + 1) * perQuery);
    }
    const withPadding = await gpuBackward(gpu, padded, { ...before, out: paddedOut }, paddedGradient, { variant });
    for (const key of ['dq', 'dk', 'dv'] as const) expect(withPadding[key]).toEqual(gradients[key]);

    // A gradient at a row is seen only by the keys that the row sees.
    const poked = dOut.slice();
    const poke = 11;
    poked[poke * c.heads * c.headDim] = 7;
    const afterGradients = await gpuBackward(gpu, a, before, poked, { variant });
    const record = (t: number) => a.kInfo.subarray(t * 4, t * 4 + 4);
    for (let t = 0; t < c.keys * c.batch; t++) {
      const same = ['dk', 'dv'].every((key) => {
        const cut = (x: Float32Array) => x.subarray(t * perToken, (t + 1) * perToken).join();
        return cut(gradients[key as 'dk']) === cut(afterGradients[key as 'dk']);
      });
      expect(same, `token ${t}`).toBe(!(t < c.keys && sees(record(poke), record(t), c)));
    }
  });

  test.each(hasLarge ? [20, 512] : [20])('the same inputs give the same bits, D%i', async (headDim) => {
    const gpu = await testGpu();
    const a = makeInput(self(37, { heads: 4, kvHeads: 1, headDim, seed: 41 }));
    const dOut = randomArray(a.q.length, 42);
    const runs = [];
    for (let i = 0; i < 2; i++) {
      const forward = await gpuForward(gpu, a, { variant });
      const { dq, dk, dv } = await gpuBackward(gpu, a, forward, dOut, { variant });
      runs.push([forward.out, forward.lse, dq, dk, dv]);
    }
    expect(runs[1]).toEqual(runs[0]);
  });

  test('operands beyond one binding are walked in runs of batch rows, to the same bits', async () => {
    const gpu = await testGpu();
    // Rows of q take 7 · 3 · 20 · 4 = 1680 bytes: windows that do not begin at multiples of 256.
    const a = makeInput(self(7, { batch: 5, heads: 3, kvHeads: 1, headDim: 20, mask: 'documents', seed: 51 }));
    const dOut = randomArray(a.q.length, 52);
    const limits = { ...gpu.profile.limits, maxStorageBufferBindingSize: 4096 };
    const small = { ...gpu.profile, limits };
    const whole = await gpuForward(gpu, a, { variant });
    const parts = await gpuForward(gpu, a, { variant, profile: small });
    expect(parts.calls.length).toBeGreaterThan(whole.calls.length);
    for (const call of parts.calls)
      for (const { size, offset } of call.bindings) {
        expect(size).toBeLessThanOrEqual(4096);
        expect(offset % 256).toBe(0);
      }
    expect(parts.out).toEqual(whole.out);
    expect(parts.lse).toEqual(whole.lse);
    const wholeBack = await gpuBackward(gpu, a, whole, dOut, { variant });
    const partsBack = await gpuBackward(gpu, a, whole, dOut, { variant, profile: small });
    expect(partsBack.calls.length).toBeGreaterThan(wholeBack.calls.length);
    expect(bindingFaults(partsBack.calls, 4096)).toEqual([]);
    for (const key of ['dq', 'dk', 'dv'] as const) expect(partsBack[key]).toEqual(wholeBack[key]);
  });

  test('rows beyond what the workspace has room for are done in turns', async () => {
    const gpu = await testGpu();
    const sizes = { batch: 2, heads: 3, kvHeads: 1, headDim: 20, window: 15, softcap: 4 };
    const a = makeInput(self(40, { ...sizes, mask: 'padding', seed: 53 }));
    const dOut = randomArray(a.q.length, 54);
    const limits = { ...gpu.profile.limits, maxStorageBufferBindingSize: 16384 };
    const forward = await gpuForward(gpu, a, { variant });
    const whole = await gpuBackward(gpu, a, forward, dOut, { variant });
    const parts = await gpuBackward(gpu, a, forward, dOut, { variant, profile: { ...gpu.profile, limits } });
    expect(bindingFaults(parts.calls, 16384)).toEqual([]);
    // Turns begin within a query: three rows are one.
    const starts = parts.calls.flatMap(({ shader, uniforms }) => (shader.includes('backward_q') ? [uniforms[16]] : []));
    const turns = { subgroup: [0, 32, 64, 96], plain: [0, 64], workgroup: [0] }[variant];
    expect([...new Set(starts)]).toEqual(turns);
    for (const key of ['dq', 'dk', 'dv'] as const) expect(relativeError(parts[key], whole[key])).toBeLessThan(1e-6);
  });

  test('large scores neither overflow nor lose the softmax', async () => {
    const gpu = await testGpu();
    const a = makeInput(self(33, { heads: 2, headDim: 64, scale: 1, spread: 8, seed: 61, kvHeads: 1 }));
    const { out } = await gpuForward(gpu, a, { variant });
    // Scores reach some ±1000: their own rounding (6e-5) is what remains in the weights.
    expect(relativeError(out, referenceAttention(a).out)).toBeLessThan(1e-4);
  });
});

test('the plain variant, everywhere', () => check(self(35, { heads: 2, headDim: 20, seed: 71 }), 'plain'), 300_000);

// GPUs get unrolled loops, sized by the head dimension. lavapipe compiles those for minutes; SwiftShader and GPUs are enough.
test.for([72, 256])('the workgroup variant as GPUs get it, D%i', async (headDim, { skip }) => {
  const gpu = await testGpu();
  if (isLavapipe) skip('lavapipe');
  const profile = asGpu(gpu.profile);
  const a = makeInput(self(35, { heads: 2, headDim, scale: headDim ** -0.5, seed: headDim }));
  const dOut = randomArray(a.q.length, 71);
  const forward = await gpuForward(gpu, a, { profile });
  expect(forward.calls[0]!.shader).toBe('attention/forward_tiled');
  expect(forward.calls[0]!.constants).toEqual({ CHUNKS: Math.ceil(headDim / 64) });
  expect(relativeError(forward.out, referenceAttention(a).out)).toBeLessThan(1e-6);
  const found = await gpuBackward(gpu, a, forward, dOut, { profile });
  const expected = referenceAttentionBackward(a, dOut);
  for (const key of ['dq', 'dk', 'dv'] as const)
    expect(relativeError(found[key], expected[key]), key).toBeLessThan(5e-6);
});

test('the workgroup variant as GPUs get it, large heads', async ({ skip }) => {
  if (isLavapipe) skip('lavapipe');
  for (const c of large) await check(c, 'workgroup', asGpu(profile));
  await checkDecoding(largeDecoding, 'workgroup', asGpu(profile));
});

test('what cannot run is refused by name', async () => {
  const { profile } = await testGpu();
  const operand = { buffer: 'x', offset: 0, dtype: 'f32' as const };
  const forward = { q: operand, k: operand, v: operand, qInfo: operand, kInfo: operand, out: operand, lse: operand };
  const tiny = { ...profile, limits: { ...profile.limits, maxStorageBufferBindingSize: 1024 } };
  const refused = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return error;
    }
    return undefined;
  };
  const tooLarge = refused(() => attentionForward(tiny, { ...self(64, {}), ...forward }));
  expect(tooLarge).toBeInstanceOf(AttentionLimitError);
  expect(tooLarge).toMatchObject({ limit: 'maxStorageBufferBindingSize', allowed: 1024, found: 64 * 8 * 4 });
  expect(refused(() => attentionForward(profile, { ...self(4, { headDim: 6 }), ...forward }))).toMatchObject({
    limit: 'headDim',
  });
  expect(refused(() => attentionForward(profile, { ...self(4, { headDim: 516 }), ...forward }))).toMatchObject({
    limit: 'headDim',
  });
  expect(() => attentionForward(profile, { ...self(4, { heads: 3, kvHeads: 2 }), ...forward })).toThrow(RangeError);
  const backward = {
    ...forward,
    info: operand,
    dOut: operand,
    workspace: operand,
    dq: operand,
    dk: operand,
    dv: operand,
  };
  expect(refused(() => attentionBackward(tiny, { ...self(64, {}), tokens: 64, ...backward }))).toBeInstanceOf(
    AttentionLimitError,
  );
});
