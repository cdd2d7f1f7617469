import { deriveProfile, Gpu, openGpu, type DeviceProfile } from '@lapidary/gpu';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { matmul } from '../matmul/matmul.js';
import { productKey, type MatmulProduct } from '../matmul/matmul-product.js';
import { matmulCandidates } from '../matmul/matmul-variant.js';
import type { MatmulVariant } from '../matmul/matmul-variant-names.js';
import { memoryChoiceStore } from '../testing/memory-choice-store.js';
import { choicesOf, tuneKernels, type TuneClock } from './tune-kernels.js';

let shared: Gpu;
beforeAll(async () => {
  shared = await openGpu();
});
afterAll(() => shared.destroy());

/** The shared device as if just opened, an adapter of the CPU: no test measures time, nor compiles what is slow there. */
function freshGpu(changes: Partial<DeviceProfile> = {}): Gpu {
  const { profile } = shared;
  return new Gpu(shared.device, { ...profile, adapter: { ...profile.adapter, isSoftware: true }, ...changes });
}

const small: MatmulProduct = { m: 24, n: 40, k: 16, batch: 1, transposeA: false, transposeB: true, dtype: 'f32' };
const other: MatmulProduct = { ...small, m: 12, k: 32, dtype: 'bf16' };

/** A clock that tells times by variant, milliseconds a run; it also runs nothing. */
function clockOf(times: Partial<Record<MatmulVariant, number>>): TuneClock & { readonly asked: string[] } {
  const asked: string[] = [];
  const clock: TuneClock = async ({ product, variant, times: n }) => {
    asked.push(`${productKey(product)}: ${variant}`);
    return n * times[variant]! * 1e6;
  };
  return Object.assign(clock, { asked });
}
const ms = (subgroup: number, plain: number, plain16: number) =>
  clockOf({ subgroup, subgroup32: subgroup, plain, plain16 });
const failOn = (message: string) => {
  throw new Error(message);
};

it('measures each candidate of each product, takes the fastest, and gives the memory back', async () => {
  const gpu = freshGpu();
  const clock = ms(9, 3, 5);
  const steps: number[][] = [];
  const { products, choices } = await tuneKernels(gpu, [small, other, { ...small }], {
    store: null,
    clock,
    onProgress: (done, total) => steps.push([done, total]),
    notice: failOn,
  });
  const candidates = matmulCandidates(gpu.profile, small);
  expect(new Set(clock.asked)).toEqual(
    new Set([small, other].flatMap((p) => candidates.map((variant) => `${productKey(p)}: ${variant}`))),
  );
  expect(steps).toEqual([
    [0, 2],
    [1, 2],
  ]);
  const times = { subgroup: 9e6, subgroup32: 9e6, plain: 3e6, plain16: 5e6 } as Record<MatmulVariant, number>;
  expect(products).toEqual(
    [small, other].map((product) => ({
      key: productKey(product),
      product,
      chosen: 'plain',
      byRule: candidates[0],
      from: 'measured',
      candidates: candidates.map((variant) => ({ variant, nanoseconds: times[variant] })),
    })),
  );
  expect(choices).toEqual([
    [productKey(small), 'plain'],
    [productKey(other), 'plain'],
  ]);
  expect(gpu.counters.bytes).toBe(0);
  expect(gpu.counters.peakBytes).toBeGreaterThan(0);
});

it('changes what is planned from a profile derived with its choices, and nothing else', async () => {
  const gpu = freshGpu();
  const { profile } = gpu;
  const x = { buffer: 'x', offset: 0, dtype: 'f32' as const };
  const derived = async (clock: ReturnType<typeof ms>) => {
    const { choices } = await tuneKernels(gpu, [small], { store: null, clock });
    return deriveProfile(profile, { kernelChoices: choices });
  };
  const planned = (from: DeviceProfile) => matmul(from, { ...small, a: x, b: x, out: x })[0]!.variant;
  expect(planned(await derived(ms(9, 9, 1)))).toMatch(/16x16/);
  const last = await derived(ms(9, 1, 9));
  expect(planned(last)).toMatch(/8x8/);
  expect(gpu.profile).toBe(profile);
  expect(profile.kernelChoices).toBeUndefined();
  expect(choicesOf(last, [small])).toEqual({ [productKey(small)]: 'plain' });
});

it('keeps to the rule where another variant is hardly faster', async () => {
  const gpu = freshGpu({ subgroupSize: { min: 4, max: 4 } });
  const chosen = async (plain16: number) =>
    (await tuneKernels(gpu, [small], { store: null, clock: ms(0, 10, plain16) })).products[0]!.chosen;
  expect(await chosen(9.6)).toBe('plain');
  expect(await chosen(9.4)).toBe('plain16');
});

it('passes over what is disabled, does not compile, or computes other numbers, and says so', async () => {
  const plain = freshGpu({ disabledVariants: new Set(['matmul:subgroup', 'matmul:subgroup32']) });
  const notices: string[] = [];
  const notice = (message: string) => void notices.push(message);
  const get = plain.pipelines.get.bind(plain.pipelines);
  plain.pipelines.get = (spec) =>
    spec.conditions?.['ROWS16'] ? Promise.reject(new Error('no such pipeline')) : get(spec);
  const clock = ms(1, 9, 1);
  const [found] = (await tuneKernels(plain, [small], { store: null, clock, notice })).products;
  expect(found).toMatchObject({ chosen: 'plain', from: 'measured' });
  expect(found!.candidates).toEqual([
    { variant: 'plain', nanoseconds: 9e6 },
    { variant: 'plain16', nanoseconds: null },
  ]);
  expect(notices).toEqual([`matmul:plain16 is not used for ${productKey(small)}: no such pipeline`]);

  const wrong = freshGpu({ disabledVariants: new Set(['matmul:subgroup', 'matmul:subgroup32']) });
  const right = wrong.pipelines.get.bind(wrong.pipelines);
  // One that leaves half of its work out: 16 × 16 tiles are then written as if they had eight rows.
  wrong.pipelines.get = (spec) => right({ ...spec, conditions: { ...spec.conditions, ROWS16: false, ROWS8: true } });
  notices.length = 0;
  const [second] = (await tuneKernels(wrong, [small], { store: null, clock, notice })).products;
  expect(second).toMatchObject({ chosen: 'plain', from: 'measured' });
  expect(notices).toEqual([expect.stringMatching(/plain16 is not used .* its result differs/)]);
  expect(plain.counters.bytes + wrong.counters.bytes).toBe(0);
});

it('leaves to the rule what has one candidate, or is too large to measure', async () => {
  const gpu = freshGpu({ subgroupSize: { min: 4, max: 4 } });
  const clock = ms(1, 1, 1);
  const one = { ...small, m: 4 };
  const long = { ...small, k: 2 ** 22 };
  const { products, choices } = await tuneKernels(gpu, [one, long], { store: null, clock, notice: failOn });
  expect(products.map(({ from, chosen }) => [from, chosen])).toEqual([
    ['rule', 'plain'],
    ['rule', 'plain'],
  ]);
  expect(clock.asked).toEqual([]);
  expect(choices).toEqual([]);
});

it.each(['f32', 'f16', 'q8_0'] as const)('all candidates agree on whole numbers in %s', async (dtype) => {
  const product = { ...small, k: 512, dtype, batch: dtype === 'f32' ? 2 : 1 };
  const { products } = await tuneKernels(freshGpu(), [product], { store: null, clock: ms(1, 1, 1), notice: failOn });
  for (const { nanoseconds } of products[0]!.candidates) expect(nanoseconds).toBe(1e6);
});

it('the device measures too, where no clock is given', async () => {
  const gpu = freshGpu();
  const { products } = await tuneKernels(gpu, [small], { store: null, notice: failOn });
  expect(products[0]!.from).toBe('measured');
  for (const { nanoseconds } of products[0]!.candidates) expect(nanoseconds).toBeGreaterThan(0);
  expect(gpu.counters.bytes).toBe(0);
});

it('does not measure what is kept, on that adapter', async () => {
  const store = memoryChoiceStore();
  const first = await tuneKernels(freshGpu(), [small], { store, clock: ms(9, 1, 9), notice: failOn });
  const clock = ms(1, 9, 9);
  const again = freshGpu();
  const second = await tuneKernels(again, [small, other], { store, clock, notice: failOn });
  expect(second.products[0]).toEqual({ ...first.products[0], from: 'kept' });
  expect(second.choices).toContainEqual([productKey(small), 'plain']);
  expect(new Set(clock.asked.map((asked) => asked.split(':')[0]))).toEqual(new Set([productKey(other)]));
  expect(store.texts.size).toBe(1);

  const { adapter } = freshGpu().profile;
  const driver = freshGpu({ adapter: { ...adapter, description: `${adapter.description} 2` } });
  expect((await tuneKernels(driver, [small], { store, clock, notice: failOn })).products[0]!.from).toBe('measured');
  expect(store.texts.size).toBe(2);
  const third = await tuneKernels(freshGpu(), [small, other], { store, clock: ms(1, 1, 1) });
  expect(third.products.map(({ from }) => from)).toEqual(['kept', 'kept']);
  // Disabled since: as if it had not been measured.
  const disabled = freshGpu({
    disabledVariants: new Set(['matmul:subgroup', 'matmul:subgroup32']),
    subgroupSize: { min: 8, max: 8 },
  });
  const kept = await tuneKernels(disabled, [other], { store, clock: ms(0, 1, 9) });
  expect(kept.products[0]!.chosen).toBe('plain');
  expect((await tuneKernels(freshGpu(), [small], { store, clock, again: true })).products[0]!.from).toBe('measured');
});

it('an abort ends it; what was measured until then is kept', async () => {
  const store = memoryChoiceStore();
  const controller = new AbortController();
  const gpu = freshGpu();
  const onProgress = (done: number) => done === 1 && controller.abort();
  const { signal } = controller;
  const clock = ms(1, 1, 1);
  const tuning = tuneKernels(gpu, [small, other, { ...other, m: 40 }], { store, clock, signal, onProgress });
  await expect(tuning).rejects.toThrow(/abort/i);
  const { products } = await tuneKernels(freshGpu(), [small, other], { store, clock });
  expect(products.map(({ from }) => from)).toEqual(['kept', 'kept']);
  expect(gpu.counters.bytes).toBe(0);
});
