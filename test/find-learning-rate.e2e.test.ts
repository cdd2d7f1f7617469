// The rate that is suggested for each optimiser but AdamW trains, and better than a tenth of it.
import { openGpu, type Gpu } from '@lapidary/gpu';
import { findLearningRate } from '@lapidary/trainer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { configOf, lossAt } from './support/rate-cases.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const optimizers = ['sgd', 'lion', 'adafactor'] as const;
const trained = [
  ['a LoRA', { lora: { rank: 4, alpha: 8 } }],
  ['the model itself', { lora: null }],
] as const;
it.each(optimizers.flatMap((type) => trained.map(([what, over]) => [type, what, over] as const)))(
  '%s, %s: the suggestion trains, better than a tenth of it',
  async (type, what, over) => {
    const notices: string[] = [];
    const logger = { onNotice: (notice: string) => void notices.push(notice) };
    const first = await configOf({ ...over, optimizer: { type } });
    const { suggested, points } = await findLearningRate(first, { gpu, logger });
    const capped = expect.stringMatching(
      /^At step 100 adafactor makes the same step at every rate above 0\.1/,
    ) as string;
    if (type === 'adafactor') expect(notices).toEqual([capped]);
    if (type === 'adafactor') expect(points.at(-1)!.rate).toBeCloseTo(0.1, 12);
    if (type === 'adafactor' && what === 'a LoRA') {
      // Its B begins at 0 and leaves it by a thousandth of the rate a step: in so few steps nothing is learned at any rate.
      expect(suggested).toBeNull();
      return;
    }
    const begun = points[0]!.loss;
    const [tenth, loss] = [await lossAt(gpu, over, type, suggested! / 10), await lossAt(gpu, over, type, suggested!)];
    expect(loss).toBeLessThan(tenth);
    expect(loss).toBeLessThan(begun / 2);
  },
);
