import { Gpu, openGpu } from '@lapidary/gpu';
import { gemmaWeightLoader } from '@lapidary/weights';
import { expect, it } from 'vitest';
import { chatModelSources } from '../../../../../test/support/fixture-sources.js';
import { resolveTrainConfig } from '../../config/resolve-train-config.js';
import { profileTraining } from './profile-training.js';

it('profiles in pages too; without timestamps by the wall clock, and says so', async () => {
  const gpu = await openGpu();
  const config = resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
    data: { source: Array.from({ length: 6 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ' by the river' })) },
    maxLength: 48,
    batchSize: 2,
    lora: { rank: 4, targets: ['qProj'], layers: [0] },
  });
  const features = new Set([...gpu.profile.features].filter((feature) => feature !== 'timestamp-query'));
  const without = new Gpu(gpu.device, { ...gpu.profile, features });
  const { clock, dispatches, kernels, ofCeiling } = await profileTraining(config, { gpu: without, runs: 1 });
  expect(clock).toBe('wall');
  expect(kernels.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 6);
  expect(kernels.reduce((sum, { calls }) => sum + calls, 0)).toBe(dispatches.length);
  for (const kernel of ['attention/forward', 'attention/backward_q', 'matmul/matmul', 'optimizer/adamw'])
    expect(kernels.map((k) => k.kernel)).toContainEqual(expect.stringMatching(`^${kernel}`));
  expect(ofCeiling).toBeGreaterThan(0);
  expect(without.counters.bytes).toBe(0);
  gpu.destroy();
});
