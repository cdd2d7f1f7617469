// 20 steps of AdamW, full and LoRA, against PyTorch and PEFT (test/fixtures/curves).
import { loraSpecs, loraScale, modelOf } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { Program, Variable } from '@lapidary/tensor';
import { planMicroStep, planStep, planUpdate, type StepModel, type StepProgram } from '@lapidary/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { causalInfo, gemmaFixture, hfName, shiftedTargets } from './support/gemma-fixture.js';
import { relativeError } from './support/relative-error.js';
import { fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';
import { adamwHyper, allocateKept, stepModel } from './support/step-model.js';

interface Curve {
  learningRate: number[];
  loss: number[];
  gradNorm: number[];
  lora?: { r?: number; alpha?: number; rank?: number; useRslora?: boolean };
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

async function batches(name: string) {
  const tensors = await fixtureTensors(`curves/${name}/batches.safetensors`);
  return [0, 1, 2, 3].map((i) => {
    const ids = tensors.get(`input_ids.${i}`)!;
    const length = ids.shape[1]!;
    const { rows, targets } = shiftedTargets(tensors.get(`labels.${i}`)!.data, length);
    return {
      shape: { batch: ids.shape[0]!, length, targets: rows.length },
      inputs: {
        inputIds: Int32Array.from(ids.data),
        tokenInfo: causalInfo(tensors.get(`attention_mask.${i}`)!.data, length),
        rows,
        targets,
        weight: Float32Array.of(1 / rows.length),
      },
    };
  });
}

/** The model with its adapter (from PEFT's files) and optimiser state on the device. */
async function setUp(name: string, kind: 'full' | 'lora' | 'rslora', accumulate = false) {
  const { config, variables } = await gemmaFixture(gpu, name);
  const gemma = modelOf(config);
  let trainedParams = new Map(variables);
  let options: StepModel['options'] = {};
  if (kind !== 'full') {
    const lora = { rank: 4, alpha: 8, rslora: kind === 'rslora' };
    const adapter = await fixtureTensors(`curves/${name}/${kind}/initial/adapter_model.safetensors`);
    trainedParams = new Map();
    for (const [path, spec] of loraSpecs(gemma.params, lora)) {
      const variable = new Variable(path, { shape: spec.shape, dtype: 'f32' }, 'trainable').allocate(gpu);
      const hf = hfName(`${spec.linear}.weight`, config).replace(
        /\.weight$/,
        `.lora_${spec.kind.toUpperCase()}.weight`,
      );
      variable.write(adapter.get(`base_model.model.${hf}`)!.data);
      trainedParams.set(path, variable);
      variables.set(path, variable);
    }
    options = { loraScale: loraScale(lora) };
  }
  const model = stepModel(gemma, variables, trainedParams, { options, accumulate });
  allocateKept(gpu, model);
  return { model, variables, config };
}

const fixed = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

for (const name of ['gemma1-tiny', 'gemma2-tiny', 'gemma3-tiny']) {
  describe(name, () => {
    const runs = [
      ['full', 'full-constant'],
      ['full', 'full-cosine'],
      ['lora', 'lora/constant'],
      ['lora', 'lora/cosine'],
    ] as const;
    const rslora = name === 'gemma3-tiny' ? ([['rslora', 'rslora/constant']] as const) : [];
    it.each([...runs, ...rslora])('%s: %s tracks PyTorch', async (kind, file) => {
      const curve = await fixtureJson<Curve>(`curves/${name}/${file}.json`);
      const { model, variables, config } = await setUp(name, kind);
      const data = await batches(name);
      const programs = new Map<string, StepProgram>();
      const counted = { ...gpu.counters, pipelines: 0 };
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
        // Every batch shape has been seen after four steps: from then on nothing is made.
        if (step === 3) Object.assign(counted, gpu.counters, { pipelines: gpu.pipelines.created });
      }
      expect(gpu.counters.buffers).toBe(counted.buffers);
      expect(gpu.counters.bindGroups).toBe(counted.bindGroups);
      expect(gpu.pipelines.created).toBe(counted.pipelines);
      expect(gpu.counters.bytes).toBe(counted.bytes);
      for (const program of programs.values()) program.destroy();
      if (file === 'lora/constant') {
        const final = await fixtureTensors(`curves/${name}/lora/final/adapter_model.safetensors`);
        for (const [path, variable] of variables) {
          if (!path.includes('.lora.')) continue;
          const [linear, kindOf] = path.split('.lora.') as [string, string];
          const hf = hfName(`${linear}.weight`, config).replace(/\.weight$/, `.lora_${kindOf.toUpperCase()}.weight`);
          expect(relativeError(await variable.read(), final.get(`base_model.model.${hf}`)!.data), path).toBeLessThan(
            2e-2,
          );
        }
      }
    });
  });
}

it('accumulates gradients over micro-batches as one large batch would', async () => {
  const name = 'gemma3-tiny';
  const [first, second] = await batches(name);
  const total = first!.shape.targets + second!.shape.targets;
  const whole = await setUp(name, 'lora');
  const parts = await setUp(name, 'lora', true);
  const hyper = adamwHyper({ ...fixed, learningRate: 1e-2, step: 1 });

  const { batch, length } = first!.shape;
  const program = await Program.create(
    gpu,
    planStep(gpu.profile, whole.model, { batch: batch * 2, length, targets: total }),
  );
  program.run({
    inputIds: Int32Array.of(...first!.inputs.inputIds, ...second!.inputs.inputIds),
    tokenInfo: Int32Array.of(...first!.inputs.tokenInfo, ...second!.inputs.tokenInfo),
    rows: Int32Array.of(...first!.inputs.rows, ...Array.from(second!.inputs.rows, (r) => r + batch * length)),
    targets: Int32Array.of(...first!.inputs.targets, ...second!.inputs.targets),
    weight: Float32Array.of(1 / total),
    hyper,
  });
  // Garbage that a first micro-batch must not see.
  for (const { sum } of parts.model.trained) sum!.write(new Float32Array(sum!.bytes / 4).fill(Number.NaN));
  for (const [i, part] of [first!, second!].entries()) {
    const micro = await Program.create(gpu, planMicroStep(gpu.profile, parts.model, part.shape));
    micro.run({ ...part.inputs, weight: Float32Array.of(1 / total), keep: Float32Array.of(i) });
  }
  const update = await Program.create(gpu, planUpdate(gpu.profile, parts.model));
  update.run({ hyper });
  expect(
    Math.abs((await update.read('gradNormSquared'))[0]! / (await program.read('gradNormSquared'))[0]! - 1),
  ).toBeLessThan(1e-5);
  for (const [path, variable] of whole.variables) {
    if (!path.includes('.lora.')) continue;
    // Adam's first step is lr · sign(g): where a gradient is almost 0 its sign may differ, so the sums are compared through m.
    const m = (v: typeof whole) => v.model.trained.find((t) => t.path === path)!.state['m']!.read();
    expect(relativeError(await m(parts), await m(whole)), path).toBeLessThan(1e-5);
    expect(variable.type.shape.length).toBe(2);
  }
});
