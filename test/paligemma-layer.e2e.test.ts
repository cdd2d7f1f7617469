// One layer of each tower of PaliGemma 3B at full width on the device: bf16 base, LoRA on everything, recomputed blocks.
import { loraSpecs, modelOf, paliGemmaPresets, patchCount, planVariables, type ParamPlan } from '@lapidary/gemma';
import { openGpu } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import { Program } from '@lapidary/tensor';
import { planStep } from '@lapidary/trainer';
import { expect, it } from 'vitest';
import { adamwHyper, allocateKept, stepModel } from './support/step-model.js';

it('trains one layer of each tower at full width', { timeout: 600_000 }, async () => {
  const gpu = await openGpu();
  const official = paliGemmaPresets['paligemma-3b-224'];
  const config = {
    ...official,
    // Fewer patches than 256: the widths are what is tried here.
    vision: { ...official.vision, numLayers: 1, imageSize: 112 },
    text: { ...official.text, numLayers: 1, layerTypes: ['global' as const], vocabSize: 512 },
  };
  const paliGemma = modelOf(config);
  const count = patchCount(config.vision);
  const plans = new Map<string, ParamPlan>();
  for (const { path, shape } of paliGemma.params) plans.set(path, { shape, dtype: 'bf16', category: 'weights' });
  const lora = loraSpecs(paliGemma.params, { rank: 16, alpha: 16 });
  for (const [path, { shape }] of lora) plans.set(path, { shape, dtype: 'f32', category: 'trainable' });
  const variables = planVariables(plans);
  for (const [path, variable] of variables) {
    variable.allocate(gpu);
    // ±2^-7 by turns, in bf16 or f32: small, and no sum of zeros.
    const size = variable.tensor.size;
    if (path.includes('.lora.'))
      variable.write(Float32Array.from({ length: size }, (_, i) => (i % 3 === 0 ? 2 ** -7 : -(2 ** -7))));
    else
      variable.write(
        Uint16Array.from({ length: byteLength('bf16', size) / 2 }, (_, i) => (i % 5 < 2 ? 0x3c00 : 0xbc00)),
      );
  }
  const trained = new Map([...variables].filter(([path]) => path.includes('.lora.')));
  const model = stepModel(paliGemma, variables, trained, {
    options: { gradientCheckpointing: true },
  });
  allocateKept(gpu, model);
  const shape = { batch: 1, length: count + 16, pictures: 1, targets: 16 };
  const program = await Program.create(gpu, planStep(gpu.profile, model, shape));
  const records = Int32Array.from(
    { length: (count + 16) * 4 },
    (_, i) => [1, i >> 2 < count + 8 ? 0 : i >> 2, i >> 2, 0][i & 3]!,
  );
  const losses: number[] = [];
  for (let step = 1; step <= 2; step++) {
    program.run({
      inputIds: Int32Array.from({ length: count + 16 }, (_, i) => (i < count ? -1 : i - count + 5)),
      pictureRows: Int32Array.from({ length: count + 16 }, (_, i) => (i < count ? i : -1)),
      tokenInfo: records,
      patches: Float32Array.from({ length: count * 588 }, (_, i) => Math.sin(i)),
      rows: Int32Array.from({ length: 16 }, (_, i) => (i < 7 ? count + 8 + i : -1)),
      targets: Int32Array.from({ length: 16 }, (_, i) => (i < 7 ? i + 14 : -1)),
      weight: Float32Array.of(1 / 7),
      hyper: adamwHyper({ learningRate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, step, clipNorm: 1 }),
    });
    losses.push((await program.read('loss'))[0]!);
  }
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(losses[1]!).toBeLessThan(losses[0]!);
  program.destroy();
  gpu.destroy();
});
