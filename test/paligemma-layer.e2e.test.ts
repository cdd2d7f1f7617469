// One layer of each tower of PaliGemma 3B at full width on the device: bf16 base, LoRA on everything, recomputed blocks.
import {
  loraSpecs,
  modelOf,
  paliGemmaPresets,
  paramTree,
  patchCount,
  planVariables,
  type ParamPlan,
} from '@lapidary/gemma';
import { openGpu } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import { Program } from '@lapidary/tensor';
import { hyperInput, planStep, planTrained, type StepModel } from '@lapidary/trainer';
import { expect, it } from 'vitest';

it('trains one layer of each tower at full width', { timeout: 600_000 }, async () => {
  const gpu = await openGpu();
  const official = paliGemmaPresets['paligemma-3b-224'];
  const config = {
    ...official,
    // Fewer patches than 256: the widths are what is tried here.
    vision: { ...official.vision, numLayers: 1, imageSize: 112 },
    text: { ...official.text, numLayers: 1, layerTypes: ['global' as const], vocabSize: 512 },
  };
  const count = patchCount(config.vision);
  const plans = new Map<string, ParamPlan>();
  const { params } = modelOf(config);
  for (const { path, shape } of params) plans.set(path, { shape, dtype: 'bf16', category: 'weights' });
  const lora = loraSpecs(params, { rank: 16, alpha: 16 });
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
  const trained = planTrained(new Map([...variables].filter(([path]) => path.includes('.lora.'))), false);
  for (const { m, v } of trained) for (const state of [m, v]) state.allocate(gpu);
  const model: StepModel = {
    params: paramTree(variables),
    config,
    trained,
    options: { gradientCheckpointing: true, loraScale: 1 },
  };
  const shape = { batch: 1, length: 16, patches: count, targets: 16 };
  const program = await Program.create(gpu, planStep(gpu.profile, model, shape));
  const records = Int32Array.from(
    { length: (count + 16) * 4 },
    (_, i) => [1, i >> 2 < count + 8 ? 0 : i >> 2, i >> 2, 0][i & 3]!,
  );
  const losses: number[] = [];
  for (let step = 1; step <= 2; step++) {
    program.run({
      inputIds: Int32Array.from({ length: 16 }, (_, i) => i + 5),
      tokenInfo: records,
      patches: Float32Array.from({ length: count * 588 }, (_, i) => Math.sin(i)),
      rows: Int32Array.from({ length: 16 }, (_, i) => (i < 7 ? count + 8 + i : -1)),
      targets: Int32Array.from({ length: 16 }, (_, i) => (i < 7 ? i + 14 : -1)),
      weight: Float32Array.of(1 / 7),
      hyper: hyperInput({ learningRate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, step, clipNorm: 1 }),
    });
    losses.push((await program.read(0))[0]!);
  }
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(losses[1]!).toBeLessThan(losses[0]!);
  program.destroy();
  gpu.destroy();
});
