// What fine-tuning the released PaliGemmas takes, from the planner alone.
import { paliGemmaParamSpecs, paliGemmaPresets, sizeOfParams } from '@lapidary/gemma';
import { baselineProfile } from '@lapidary/gpu';
import { planPreset, resolveTrainConfig } from '@lapidary/trainer';
import { expect, it } from 'vitest';

const run = (change: object = {}) =>
  resolveTrainConfig({
    weightLoader: { open: () => undefined },
    data: { source: [] },
    lora: { rank: 16 },
    batchSize: 1,
    maxLength: 128,
    gradientCheckpointing: true,
    ...change,
  });

it('has the parameters of the official files', () => {
  const count = (name: keyof typeof paliGemmaPresets) => sizeOfParams(paliGemmaParamSpecs(paliGemmaPresets[name]));
  // Of 32 arrays of pt_224.npz; 448 and 896 differ in their positions only.
  expect(count('paligemma-3b-224')).toBe(2_923_335_408);
  expect(count('paligemma-3b-448') - count('paligemma-3b-224')).toBe((1024 - 256) * 1152);
  expect(count('paligemma-3b-896') - count('paligemma-3b-224')).toBe((4096 - 256) * 1152);
});

it('fits a LoRA of PaliGemma 3B at 224 pixels into 8 GB', () => {
  const { plan, model } = planPreset(baselineProfile, paliGemmaPresets['paligemma-3b-224'], run());
  expect(plan.modelBytes).toBeGreaterThan(2 * 2_923_335_408);
  expect(plan.totalBytes).toBeLessThan(8e9);
  // Nothing of tokens × tokens or tokens × words, and no binding but the tables' larger than 128 MiB.
  const tokens = 256 + 128;
  for (const program of plan.steps.values()) {
    const largest = Math.max(...program.slotBytes);
    expect(largest).toBeLessThan(tokens * 257152 * 4);
  }
  expect([...model.lora.keys()].some((path) => path.startsWith('vision.'))).toBe(false);
  const both = run({ lora: { rank: 16, towers: ['language', 'vision', 'projector'] } });
  const wide = planPreset(baselineProfile, paliGemmaPresets['paligemma-3b-224'], both);
  expect(wide.plan.totalBytes).toBeGreaterThan(plan.totalBytes);
  expect(wide.plan.totalBytes).toBeLessThan(8e9);
});
