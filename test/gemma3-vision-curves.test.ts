// 20 steps of AdamW on a Gemma 3 with pictures, full and LoRA on both towers, against PyTorch and PEFT (test/fixtures/curves). Rows have
// different numbers of pictures.
import { loraSpecs, loraUpdates, paramTree, type LoraUpdate } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { evaluate, Program, reshape, Variable, variableFrom } from '@lapidary/tensor';
import { planStep, type StepProgram } from '@lapidary/trainer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readPeftAdapter } from '@lapidary/weights';
import { adapterSources } from './support/fixture-sources.js';
import { relativeError } from './support/relative-error.js';
import { shiftedTargets } from './support/gemma-fixture.js';
import { gemma3VisionFixture, gemma3VisionHfName, gemma3VisionInputs } from './support/gemma3-vision-fixture.js';
import { fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';
import { adamwHyper, allocateKept, stepModel } from './support/step-model.js';

interface Curve {
  learningRate: number[];
  loss: number[];
  gradNorm: number[];
}

const folder = 'curves/gemma3-vision-tiny';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

async function setUp(isLora: boolean) {
  const fixture = await gemma3VisionFixture(gpu);
  const { config, model, variables } = fixture;
  let trained = variables;
  let updates: ReadonlyMap<string, LoraUpdate> = new Map();
  if (isLora) {
    const options = { rank: 4, alpha: 8 };
    updates = loraUpdates(model.params, options);
    const adapter = await fixtureTensors(`${folder}/lora/initial/adapter_model.safetensors`);
    trained = new Map();
    for (const [path, { shape, linear, kind }] of loraSpecs(model.params, options)) {
      const variable = new Variable(path, { shape, dtype: 'f32' }, 'trainable').allocate(gpu);
      const hf = gemma3VisionHfName(`${linear}.weight`, config).replace('language_model.model.', 'language_model.');
      const name = `base_model.model.model.${hf.replace(/weight$/, `lora_${kind.toUpperCase()}.weight`)}`;
      variable.write(adapter.get(name)!.data);
      trained.set(path, variable);
      variables.set(path, variable);
    }
    expect(trained.size).toBe(adapter.size);
  }
  const step = stepModel(model, variables, trained, { updates });
  allocateKept(gpu, step);
  return { fixture, step };
}

const fixed = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

it.each([
  ['full', 'full-constant'],
  ['lora', 'lora/constant'],
] as const)('%s tracks PyTorch', async (kind, file) => {
  const curve = await fixtureJson<Curve>(`${folder}/${file}.json`);
  const { fixture, step: model } = await setUp(kind === 'lora');
  const tensors = await fixtureTensors(`${folder}/batches.safetensors`);
  const programs = new Map<string, StepProgram>();
  for (let step = 0; step < 20; step++) {
    const suffix = `.${step % 4}`;
    const { rows: batch, length, pictures, inputs } = gemma3VisionInputs(gpu, fixture, tensors, suffix);
    const { rows, targets } = shiftedTargets(tensors.get(`labels${suffix}`)!.data, length);
    const shape = { batch, length, pictures, targets: rows.length };
    const program = programs.get(suffix) ?? (await Program.create(gpu, planStep(gpu.profile, model, shape)));
    programs.set(suffix, program);
    const hyper = adamwHyper({ ...fixed, learningRate: curve.learningRate[step]!, step: step + 1 });
    program.run({ ...inputs, rows, targets, weight: Float32Array.of(1 / rows.length), hyper });
    const [loss] = await program.read('loss');
    const [norm2] = await program.read('gradNormSquared');
    expect(Math.abs(loss! / curve.loss[step]! - 1), `loss of step ${step}`).toBeLessThan(1e-3);
    expect(Math.abs(Math.sqrt(norm2!) / curve.gradNorm[step]! - 1), `gradient norm of step ${step}`).toBeLessThan(5e-3);
  }
  for (const program of programs.values()) program.destroy();
});

it("has PEFT's logits with its adapter of both towers", async () => {
  const fixture = await gemma3VisionFixture(gpu);
  const { model, variables } = fixture;
  const { updates, tensors } = await readPeftAdapter(await adapterSources(`${folder}/lora/final`), { model });
  for (const [path, { shape }] of loraSpecs(model.params, { rank: 4, alpha: 8 }))
    variables.set(path, variableFrom(gpu, tensors.get(path)!, shape));
  const batches = await fixtureTensors(`${folder}/batches.safetensors`);
  const { tensors: inputs } = gemma3VisionInputs(gpu, fixture, batches, '.1');
  const params = paramTree(variables, updates);
  const { hidden } = model.forward(params, inputs());
  const [logits] = await evaluate(gpu, [model.logits(params, reshape(hidden, [-1, model.hiddenSize]))]);
  const mask = batches.get('attention_mask.1')!.data;
  const real = (values: ArrayLike<number>) =>
    Array.from(values).filter((_, i) => mask[Math.floor(i / model.vocabSize)] === 1);
  const reference = await fixtureTensors(`${folder}/lora/final-reference.safetensors`);
  expect(relativeError(real(logits!), real(reference.get('logits')!.data))).toBeLessThan(1e-5);
});
