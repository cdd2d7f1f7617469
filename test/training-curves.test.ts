// 20 steps of AdamW, full and LoRA, against PyTorch and PEFT (test/fixtures/curves).
import { loraSpecs } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { Program, Variable } from '@lapidary/tensor';
import { planMicroStep, planStep, planUpdate, type StepProgram } from '@lapidary/trainer';
import { readPeftAdapter } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterSources } from './support/fixture-sources.js';
import { causalInfo, modelFixture, shiftedTargets } from './support/gemma-fixture.js';
import { relativeError } from './support/relative-error.js';
import { rowNorms } from './support/row-norms.js';
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
async function setUp(name: string, kind: 'full' | 'lora' | 'rslora' | 'dora' | 'saved', accumulate = false) {
  const { model: gemma, variables, hostRows } = await modelFixture(gpu, name);
  if (kind === 'full') {
    const constants = new Set(gemma.params.flatMap(({ path, isConstant }) => (isConstant ? [path] : [])));
    const trained = new Map([...variables].filter(([path]) => !constants.has(path)));
    const model = stepModel(gemma, variables, trained, { accumulate, hostRows });
    allocateKept(gpu, model);
    return { model, variables, hostRows };
  }
  const adapter = await readPeftAdapter(await adapterSources(`curves/${name}/${kind}/initial`), { model: gemma });
  const { updates, tensors, params } = adapter;
  const trained = new Map<string, Variable>();
  const options = { rank: 4, alpha: 8, dora: kind === 'dora', overrideOf: (linear: string) => updates.get(linear)! };
  for (const [path, { shape, linear, kind: part }] of loraSpecs(gemma.params, options)) {
    const variable = new Variable(path, { shape, dtype: 'f32' }, 'trainable').allocate(gpu);
    variable.write(part === 'weightNorm' ? await rowNorms(variables.get(`${linear}.weight`)!) : tensors.get(path)!);
    variables.set(path, variable);
    if (part !== 'weightNorm') trained.set(path, variable);
  }
  for (const [path, values] of params) {
    variables.get(path)!.write(values);
    trained.set(path, variables.get(path)!);
  }
  const model = stepModel(gemma, variables, trained, { accumulate, updates, hostRows });
  allocateKept(gpu, model);
  return { model, variables, hostRows };
}

const fixed = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

for (const name of ['gemma1-tiny', 'gemma2-tiny', 'gemma3-tiny', 'gemma4-tiny'] as const) {
  describe(name, () => {
    const runs = [
      ['full', 'full-constant'],
      ['full', 'full-cosine'],
      ['lora', 'lora/constant'],
      ['lora', 'lora/cosine'],
    ] as const;
    const others = {
      'gemma1-tiny': [],
      'gemma2-tiny': [['dora', 'dora/constant']],
      'gemma3-tiny': [
        ['rslora', 'rslora/constant'],
        ['saved', 'saved/constant'],
      ],
      'gemma4-tiny': [],
    } as const;
    it.each([...runs, ...others[name]])('%s: %s tracks PyTorch', async (kind, file) => {
      const curve = await fixtureJson<Curve>(`curves/${name}/${file}.json`);
      const { model, variables, hostRows } = await setUp(name, kind);
      const data = await batches(name);
      const programs = new Map<string, StepProgram>();
      const counted = { ...gpu.counters, pipelines: 0 };
      for (let step = 0; step < 20; step++) {
        const { shape, inputs } = data[step % 4]!;
        const key = JSON.stringify(shape);
        const program = programs.get(key) ?? (await Program.create(gpu, planStep(gpu.profile, model, shape)));
        programs.set(key, program);
        const rows = await hostRows?.read(inputs.inputIds);
        program.run({
          ...inputs,
          ...(rows && { hostRows: rows }),
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
      if (kind !== 'full' && file.endsWith('constant')) {
        const folder = await adapterSources(`curves/${name}/${kind}/final`);
        const final = await readPeftAdapter(folder, { model: model.model });
        for (const [path, values] of [...final.tensors, ...final.params])
          expect(relativeError(await variables.get(path)!.read(), values), path).toBeLessThan(2e-2);
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
