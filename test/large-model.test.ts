// A vocabulary of 262,144 words on a device whose bindings end at 128 MiB: nothing of the size tokens × vocabulary or
// tokens × tokens exists, and it runs.
import { gemmaPresets, loraSpecs, modelOf, planVariables, type GemmaConfig } from '@lapidary/gemma';
import { openGpu, type DeviceProfile, type Gpu } from '@lapidary/gpu';
import { Program } from '@lapidary/tensor';
import { planStep } from '@lapidary/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { causalInfo } from './support/gemma-fixture.js';
import { adamwHyper, allocateKept, stepModel } from './support/step-model.js';

const BINDING_LIMIT = 128 * 1024 * 1024;

let gpu: Gpu;
let profile: DeviceProfile;
beforeAll(async () => {
  gpu = await openGpu();
  const { limits } = gpu.profile;
  const maxStorageBufferBindingSize = Math.min(limits.maxStorageBufferBindingSize, BINDING_LIMIT);
  profile = { ...gpu.profile, limits: { ...limits, maxStorageBufferBindingSize } };
});
afterAll(() => gpu.destroy());

/** A model in bf16 with a LoRA of rank 4 on every linear, or trained whole in f32; abstract. */
function planned(config: GemmaConfig, full: boolean) {
  const gemma = modelOf(config);
  const base = planVariables(
    new Map(
      gemma.params.map(({ path, shape }) => [
        path,
        { shape, dtype: full ? 'f32' : 'bf16', category: full ? 'trainable' : 'weights' },
      ]),
    ),
  );
  const lora = planVariables(
    new Map(
      full
        ? []
        : [...loraSpecs(gemma.params, { rank: 4, alpha: 4 })].map(([path, { shape }]) => [
            path,
            { shape, dtype: 'f32', category: 'trainable' },
          ]),
    ),
  );
  const variables = new Map([...base, ...lora]);
  const options = { gradientCheckpointing: true };
  const model = stepModel(gemma, variables, full ? base : lora, { options });
  return { model, base, lora, variables };
}

describe.each([false, true])('Gemma 3 270M as released, 16,384 tokens, all of it trained: %s', (full) => {
  it('is planned without a buffer of tokens × vocabulary or tokens × tokens', () => {
    const config = gemmaPresets['gemma-3-270m'];
    expect(config.vocabSize).toBe(262_144);
    const tokens = 16_384;
    const plan = planStep(profile, planned(config, full).model, { batch: 1, length: tokens, targets: tokens });
    // Bytes, so that a tensor of one byte an element would be found too. Variables are parameters and their state.
    const largest = Math.max(
      ...plan.slotBytes,
      ...plan.temporaries.map((t) => t.bytes),
      ...plan.inputs.map((i) => i.tensor.bytes),
      ...plan.outputs.map((o) => o.bytes),
    );
    if (full) {
      // The embedding's gradient, vocabulary × hidden, is of course larger than tokens × tokens.
      const others = plan.temporaries.filter((t) => t.bytes !== config.vocabSize * config.hiddenSize * 4);
      expect(Math.max(...others.map((t) => t.bytes))).toBeLessThan(tokens * tokens);
    } else expect(largest).toBeLessThan(tokens * tokens);
    expect(largest).toBeLessThan(tokens * config.vocabSize);
    for (const call of plan.calls)
      for (const binding of call.bindings) expect(binding.size).toBeLessThanOrEqual(BINDING_LIMIT);
  });
});

it('a table of 160 MiB is read in windows: loss and step are right', async () => {
  const config: GemmaConfig = {
    ...gemmaPresets['gemma-3-270m'],
    hiddenSize: 320,
    intermediateSize: 64,
    numLayers: 1,
    numHeads: 2,
    numKvHeads: 1,
    headDim: 32,
    layerTypes: ['global'],
  };
  const { model, base, lora, variables } = planned(config, false);
  for (const variable of variables.values()) variable.allocate(gpu);
  allocateKept(gpu, model);
  const table = base.get('embedTokens.weight')!;
  expect(table.bytes).toBeGreaterThan(BINDING_LIMIT);

  // Linears stay zero: the hidden state is the normalised embedding of the last token, whatever the layer does to it. Only five
  // rows of the table are not zero, two of them beyond the first window.
  const row = (n: number) =>
    Uint16Array.from({ length: config.hiddenSize }, (_, i) => (((i * 7 + n) % 5 < 2 ? 0x3d : 0xbd) << 8) | 0x80);
  const known = [2, 100_000, 209_000, 230_001, 262_143];
  for (const id of known) table.write(row(id), id * config.hiddenSize * 2);
  const b16 = (bits: number) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
  const floats = (id: number) => Array.from(row(id), b16);

  const ids = [2, 262_143, 230_001, 100_000];
  const targets = [209_000, 230_001, 5, 262_143];
  /** Logits of the tied head after RMSNorm with weight 1 + 0; every unknown row has logit 0. */
  const expected =
    ids.reduce((total, id, i) => {
      const x = floats(id).map((v) => v * Math.sqrt(config.hiddenSize));
      const rms = Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length + config.rmsNormEps);
      const logit = (to: number) => (known.includes(to) ? floats(to).reduce((s, v, n) => s + (v * x[n]!) / rms, 0) : 0);
      const z = known.reduce((s, to) => s + Math.exp(logit(to)), config.vocabSize - known.length);
      return total + Math.log(z) - logit(targets[i]!);
    }, 0) / ids.length;

  const shape = { batch: 1, length: ids.length, targets: ids.length };
  const plan = planStep(profile, model, shape);
  const program = await Program.create(gpu, plan);
  for (const step of [1, 2]) {
    program.run({
      inputIds: Int32Array.from(ids),
      tokenInfo: causalInfo([1, 1, 1, 1], ids.length),
      rows: Int32Array.of(0, 1, 2, 3),
      targets: Int32Array.from(targets),
      weight: Float32Array.of(1 / ids.length),
      hyper: adamwHyper({ learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step, clipNorm: 0 }),
    });
    const loss = (await program.read('loss'))[0]!;
    expect(Math.abs(loss - expected)).toBeLessThan(1e-4);
    expect(Number.isFinite((await program.read('gradNormSquared'))[0]!)).toBe(true);
  }
  program.destroy();
  for (const variable of [...base.values(), ...lora.values()]) variable.destroy();
});
