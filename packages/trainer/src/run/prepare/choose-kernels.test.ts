import { Gpu, openGpu, type DeviceProfile } from '@lapidary/gpu';
import { matmul, productKey, type ChoiceStore, type MatmulProduct, type TuneClock } from '@lapidary/kernels';
import type { ProgramPlan } from '@lapidary/tensor';
import { gemmaWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from '../../../../../test/support/fixture-sources.js';
import { resolveTrainConfig } from '../../config/resolve-train-config.js';
import { tuneTraining } from '../tune/tune-training.js';
import { chooseKernels, type ChooseKernelsOptions } from './choose-kernels.js';

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

function memoryStore(): ChoiceStore {
  const texts = new Map<string, string>();
  return {
    location: 'memory',
    read: async (name) => texts.get(name),
    write: async (name, text) => void texts.set(name, text),
  };
}

const product: MatmulProduct = { m: 24, n: 40, k: 16, batch: 1, transposeA: false, transposeB: true, dtype: 'f32' };
const x = { buffer: 0, offset: 0, dtype: 'f32' as const };
const made: DeviceProfile[] = [];
/** A run of one product. */
function make(profile: DeviceProfile): ProgramPlan {
  made.push(profile);
  return { calls: matmul(profile, { ...product, a: x, b: x, out: x }) } as unknown as ProgramPlan;
}
const variantOf = ({ calls }: ProgramPlan) => calls[0]!.variant;

/** Whatever is 16 × 16 takes half the time of the others, or twice as much. */
const clockOf =
  (large: number): TuneClock =>
  async ({ variant, times }) =>
    times * (variant === 'plain16' ? large : 4e6);
const [fast, slow] = [clockOf(2e6), clockOf(8e6)];
const neverAsked: TuneClock = () => Promise.reject(new Error('nothing is to be measured'));
const planWith = (gpu: Gpu, options: ChooseKernelsOptions) =>
  chooseKernels(gpu, make, (plan) => [plan], { store: memoryStore(), ...options });

it('measures nothing on adapters of the CPU unless it must, and never when it must not', async () => {
  made.length = 0;
  for (const mode of ['auto', 'never'] as const) {
    const { plan, tuning } = await planWith(freshGpu(), { mode, clock: neverAsked });
    expect(tuning).toBeNull();
    expect(variantOf(plan)).not.toContain('16x16');
  }
  expect(made.length).toBe(2);
  const phases: unknown[] = [];
  const logger = { onPhase: (phase: object) => void phases.push(phase) };
  const { plan, used, tuning } = await planWith(freshGpu(), { mode: 'always', clock: fast, logger });
  expect(variantOf(plan)).toContain('16x16');
  expect(tuning!.products.map(({ from }) => from)).toEqual(['measured']);
  expect(used.choices).toEqual({ [productKey(product)]: 'plain16' });
  expect(phases).toEqual([{ name: 'Choosing kernels', done: 0, total: 1 }]);
});

it('plans with the precision asked for, and leaves the device as it was', async () => {
  made.length = 0;
  const gpu = freshGpu();
  const half = await planWith(gpu, { mode: 'never', precision: 'float16' });
  expect(made.map(({ matmulPrecision }) => matmulPrecision)).toEqual(['float16']);
  expect(gpu.profile.matmulPrecision ?? 'float32').toBe('float32');
  const full = await planWith(gpu, { mode: 'never' });
  // Its choices are no choices for others.
  expect(half.used.device).not.toBe(full.used.device);
});

it('plans once where the rule was right, and measures once a device', async () => {
  const store = memoryStore();
  const gpu = freshGpu();
  await planWith(gpu, { mode: 'always', clock: slow, store });
  made.length = 0;
  const { tuning } = await planWith(freshGpu(), { mode: 'always', clock: neverAsked, store });
  expect(tuning!.products.map(({ from }) => from)).toEqual(['kept']);
  expect(made.length).toBe(1);
});

it('a run that goes on uses the kernels it began with, on its device', async () => {
  // Four: the rule and the measurements differ, whichever adapter runs this.
  const fours = { subgroupSize: { min: 4, max: 4 } };
  const first = await planWith(freshGpu(fours), { mode: 'always', clock: fast });
  for (const mode of ['auto', 'always', 'never'] as const) {
    const again = await planWith(freshGpu(fours), { mode, clock: neverAsked, before: first.used });
    expect(variantOf(again.plan)).toBe(variantOf(first.plan));
    expect(again.used).toEqual(first.used);
  }
  const byRule = await planWith(freshGpu(fours), { mode: 'never' });
  const tunedSince = freshGpu(fours);
  await planWith(tunedSince, { mode: 'always', clock: fast });
  // The device's own profile is as it was: others may plan at the same time.
  expect(tunedSince.profile).toEqual(freshGpu(fours).profile);
  expect(variantOf((await planWith(tunedSince, { mode: 'auto', before: byRule.used })).plan)).toBe(
    variantOf(byRule.plan),
  );
  const elsewhere = { ...first.used, device: 'another' };
  const other = await planWith(freshGpu(fours), { mode: 'always', clock: slow, before: elsewhere });
  expect(variantOf(other.plan)).toBe(variantOf(byRule.plan));
});

it('a run that began with a kernel that is there no more goes on with another, and says so', async () => {
  const { used } = await planWith(freshGpu(), { mode: 'never' });
  const before = { ...used, choices: { [productKey(product)]: 'subgroup16' } };
  const notices: string[] = [];
  const logger = { onNotice: (message: string) => void notices.push(message) };
  expect((await planWith(freshGpu(), { mode: 'never', before, logger })).used).toEqual(used);
  expect(notices).toEqual([expect.stringMatching(/24x40x16 nt f32 by 'subgroup16', now '\w+'\): it goes on/)]);
  await planWith(freshGpu(), { mode: 'never', before: used, logger });
  expect(notices).toHaveLength(1);
});

it('tuneTraining chooses for the products of a run, and loads no weight', async () => {
  const config = resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
    data: { source: Array.from({ length: 6 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ' by the river' })) },
    maxLength: 48,
    batchSize: 2,
    lora: { rank: 4, targets: ['qProj'], layers: [0] },
  });
  // With one candidate for each nothing is compiled, which takes most of a minute on lavapipe.
  const disabledVariants = new Set(['matmul:plain16', 'matmul:quad']);
  const gpu = freshGpu({ subgroupSize: { min: 4, max: 4 }, disabledVariants });
  const { products, keptIn, adapter } = await tuneTraining(config, { gpu, store: memoryStore(), clock: neverAsked });
  expect(keptIn).toBe('memory');
  expect(adapter.backend).toBe(gpu.profile.adapter.backend);
  expect(new Set(products.map(({ key }) => key)).size).toBe(products.length);
  // Of a linear layer, of its adapter, and of the adapter's gradient.
  for (const some of [
    { k: 28, n: 64 },
    { k: 28, n: 4 },
    { m: 4, transposeA: true },
  ])
    expect(products.map(({ product }) => product)).toContainEqual(expect.objectContaining(some));
  expect(gpu.counters).toMatchObject({ bytes: 0, buffers: 0 });
});
