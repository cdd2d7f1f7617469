// 20 steps of AdamW on PaliGemma, full, LoRA on either tower, and the vision side alone, against PyTorch and PEFT
// (test/fixtures/curves).
import { loraSpecs, loraUpdates, modelOf, type PaliGemmaConfig } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { Program, Variable } from '@lapidary/tensor';
import { planStep, type StepProgram } from '@lapidary/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shiftedTargets } from './support/gemma-fixture.js';
import { paliGemmaFixture, paliGemmaHfName, paliGemmaInputs } from './support/paligemma-fixture.js';
import { fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';
import { adamwHyper, allocateKept, stepModel } from './support/step-model.js';

interface Curve {
  learningRate: number[];
  loss: number[];
  gradNorm: number[];
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

async function batches(name: string, config: PaliGemmaConfig) {
  const tensors = await fixtureTensors(`curves/${name}/batches.safetensors`);
  return [0, 1, 2, 3].map((i) => {
    const { rows: batch, length, ...given } = paliGemmaInputs(gpu, config, tensors, `.${i}`);
    const { inputIds, tokenInfo, patches, pictureRows } = given;
    const { rows, targets } = shiftedTargets(tensors.get(`labels.${i}`)!.data, length);
    return {
      shape: { batch, length, pictures: batch, targets: rows.length },
      inputs: { inputIds, tokenInfo, patches, pictureRows, rows, targets, weight: Float32Array.of(1 / rows.length) },
    };
  });
}

const inDecoder = (path: string) => path.startsWith('language.');
const inTower = (path: string) => path.startsWith('vision.');

/** Which parameters are trained; of a LoRA the linears that have one. */
const kinds = {
  full: { lora: false, trained: () => true },
  projector: { lora: false, trained: (path: string) => !inDecoder(path) },
  lora: { lora: true, trained: inDecoder },
  'lora-vision': { lora: true, trained: (path: string) => inDecoder(path) || inTower(path) },
} as const;

async function setUp(name: string, kind: keyof typeof kinds) {
  const { config, variables } = await paliGemmaFixture(gpu, name);
  const paliGemma = modelOf(config);
  const { lora, trained: isTrained } = kinds[kind];
  let trainedParams = new Map([...variables].filter(([path]) => isTrained(path)));
  let updates: ReturnType<typeof loraUpdates> = new Map();
  if (lora) {
    const options = { rank: 4, alpha: 8, targets: ({ path }: { path: string }) => isTrained(path) };
    updates = loraUpdates(paliGemma.params, options);
    const adapter = await fixtureTensors(`curves/${name}/${kind}/initial/adapter_model.safetensors`);
    trainedParams = new Map();
    for (const [path, spec] of loraSpecs(paliGemma.params, options)) {
      const variable = new Variable(path, { shape: spec.shape, dtype: 'f32' }, 'trainable').allocate(gpu);
      const hf = paliGemmaHfName(`${spec.linear}.weight`, config).replace('language_model.model.', 'language_model.');
      variable.write(
        adapter.get(`base_model.model.model.${hf.replace(/\.weight$/, `.lora_${spec.kind.toUpperCase()}.weight`)}`)!
          .data,
      );
      trainedParams.set(path, variable);
      variables.set(path, variable);
    }
    expect(trainedParams.size).toBe(adapter.size);
  }
  const model = stepModel(paliGemma, variables, trainedParams, { updates });
  allocateKept(gpu, model);
  return { model, config };
}

const fixed = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

describe.each(['paligemma1-tiny', 'paligemma2-tiny'])('%s', (name) => {
  it.each([
    ['full', 'full-constant'],
    ['projector', 'projector-constant'],
    ['lora', 'lora/constant'],
    ['lora-vision', 'lora-vision/constant'],
  ] as const)('%s: %s tracks PyTorch', async (kind, file) => {
    const curve = await fixtureJson<Curve>(`curves/${name}/${file}.json`);
    const { model, config } = await setUp(name, kind);
    const data = await batches(name, config);
    const programs = new Map<string, StepProgram>();
    for (let step = 0; step < 20; step++) {
      const { shape, inputs } = data[step % 4]!;
      const key = JSON.stringify(shape);
      const program = programs.get(key) ?? (await Program.create(gpu, planStep(gpu.profile, model, shape)));
      programs.set(key, program);
      program.run({
        ...inputs,
        hyper: adamwHyper({ ...fixed, learningRate: curve.learningRate[step]!, step: step + 1 }),
      });
      const [loss] = await program.read('loss');
      const [norm2] = await program.read('gradNormSquared');
      expect(Math.abs(loss! / curve.loss[step]! - 1), `loss of step ${step}`).toBeLessThan(1e-3);
      expect(Math.abs(Math.sqrt(norm2!) / curve.gradNorm[step]! - 1), `gradient norm of step ${step}`).toBeLessThan(
        5e-3,
      );
    }
    for (const program of programs.values()) program.destroy();
  });
});
