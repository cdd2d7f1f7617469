// Every optimiser against torch.optim and optax in float64 (test/fixtures/optimizers): parameters and state after each of 12 steps.
import { baselineProfile, openGpu, type Gpu } from '@lapidary/gpu';
import { Variable } from '@lapidary/tensor';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtureJson, fixtureTensors } from '../../../../test/support/safetensors-fixture.js';
import { optimizerOf, optimizers, optimizerSchema, type OptimizerType } from './registry.js';
import { OptimizerRun, planUpdates, relativeL2 } from './testing/optimizer-run.js';

interface Case {
  readonly name: string;
  readonly type: OptimizerType;
  readonly settings: object;
  readonly learningRate: readonly number[];
  readonly clipNorm: number;
}

const { steps, shapes, cases } = await fixtureJson<{
  steps: number;
  shapes: Record<string, number[]>;
  cases: Case[];
}>('optimizers/cases.json');
const inputs = await fixtureTensors('optimizers/inputs.safetensors');
const names = Object.keys(shapes);
const start = Object.fromEntries(
  names.map((name) => [name, { data: inputs.get(`param/${name}`)!.data as Float32Array, shape: shapes[name]! }]),
);
const grads = Array.from({ length: steps }, (_, step) =>
  Object.fromEntries(names.map((name) => [name, inputs.get(`grad/${step}/${name}`)!.data as Float32Array])),
);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

describe('as torch.optim and optax, at every step', () => {
  it('has a case for each optimiser', () => {
    expect(new Set(cases.map(({ type }) => type))).toEqual(new Set(optimizers.map(({ type }) => type)));
  });

  it.each(cases.map((c) => [c.name, c] as const))('%s', async (name, { type, settings, learningRate, clipNorm }) => {
    const reference = await fixtureTensors(`optimizers/${name}.safetensors`);
    const run = await OptimizerRun.create(gpu, optimizerOf(type), settings, start);
    const compared = new Set<string>();
    for (let step = 0; step < steps; step++) {
      run.step({ learningRate: learningRate[step]!, step: step + 1, clipNorm }, grads[step]!);
      for (const [key, found] of await run.read()) {
        const error = relativeL2(found, reference.get(`${step}/${key}`)!.data);
        compared.add(`${step}/${key}`);
        expect(error, `step ${step}: ${key}`).toBeLessThan(1e-6);
      }
    }
    // Nothing that the library keeps is left out.
    expect([...compared].sort()).toEqual([...reference.keys()].sort());
    run.destroy();
  });
});

const defaultsOf = (type: OptimizerType) => v.parse(optimizerSchema, { type } as v.InferInput<typeof optimizerSchema>);
const at = { learningRate: 0.01, step: 3, clipNorm: 1 };

/** One optimiser, with the settings that change what it keeps. */
const kinds: [string, OptimizerType, object][] = [
  ...optimizers.map(({ type }): [string, OptimizerType, object] => [type, type, defaultsOf(type)]),
  ['sgd without momentum', 'sgd', { ...defaultsOf('sgd'), momentum: 0 }],
  ['sgd, Nesterov', 'sgd', { ...defaultsOf('sgd'), nesterov: true }],
];

describe.each(kinds)('%s', (_, type, settings) => {
  const optimizer = optimizerOf(type);

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1e30])('changes nothing where a gradient is %d', async (bad) => {
    const run = await OptimizerRun.create(gpu, optimizer, settings, start);
    run.step(at, grads[0]!);
    const before = await run.read();
    const spoiled = Float32Array.from(grads[1]!['vector']!);
    spoiled[2] = bad;
    run.step(at, { ...grads[1]!, vector: spoiled });
    expect(await run.read()).toEqual(before);
    run.step(at, grads[1]!);
    expect(await run.read()).not.toEqual(before);
    run.destroy();
  });

  it('multiplies the rate and the decay of a tensor by its scale', async () => {
    // Powers of two: the same bits.
    const decaying = { ...settings, weightDecay: 0.125 };
    const scaled = await OptimizerRun.create(gpu, optimizer, decaying, start, {
      scale: { learningRate: 0.5, weightDecay: 4 },
    });
    const plain = await OptimizerRun.create(gpu, optimizer, { ...settings, weightDecay: 0.5 }, start);
    const other = await OptimizerRun.create(gpu, optimizer, { ...settings, weightDecay: 0.5 }, start);
    for (const [step, grad] of grads.slice(0, 3).entries()) {
      scaled.step({ ...at, step: step + 1 }, grad);
      plain.step({ ...at, step: step + 1, learningRate: at.learningRate / 2 }, grad);
      other.step({ ...at, step: step + 1 }, grad);
    }
    expect(await scaled.read()).toEqual(await plain.read());
    expect(await scaled.read()).not.toEqual(await other.read());
    for (const run of [scaled, plain, other]) run.destroy();
  });

  it('updates in place, in few kernels', () => {
    const kernels = (shape: readonly number[]) => (type !== 'adafactor' ? 1 : shape.length > 1 ? 5 : 3);
    for (const shape of [[4096], [1024, 768], [3, 64, 40]]) {
      const state = Object.entries(optimizer.state(shape, settings)).map(([key, kept]): [string, Variable] => [
        key,
        new Variable(key, { shape: kept, dtype: 'f32' }, 'optimizer'),
      ]);
      const param = new Variable('param', { shape, dtype: 'f32' }, 'trainable');
      const slots = { param: { param, state: Object.fromEntries(state) } };
      const plan = planUpdates({ profile: baselineProfile }, optimizer, settings, slots, { normAsInput: true });
      expect(plan.callNames).toEqual(Array<string>(kernels(shape)).fill(type));
      // Scratch memory: none, but for Adafactor's sums of columns and of chunks.
      const { temporaries, total, inputs: inputBytes, overhead, outputs, variables } = plan.memory;
      if (type === 'adafactor') expect(temporaries).toBeLessThan(param.bytes / 20 + 16 * 1024);
      else expect(temporaries).toBe(0);
      expect(total).toBe(
        inputBytes + overhead + outputs + temporaries + Object.values(variables).reduce((a, b) => a + b),
      );
      expect(variables.optimizer ?? 0).toBe(state.reduce((sum, [, kept]) => sum + kept.bytes, 0));
    }
  });

  it('steps make no buffer', async () => {
    const run = await OptimizerRun.create(gpu, optimizer, settings, start);
    run.step(at, grads[0]!);
    const { bytes } = gpu.counters;
    const { created } = gpu.pipelines;
    for (const grad of grads) run.step(at, grad);
    await gpu.idle();
    expect([gpu.counters.bytes, gpu.pipelines.created]).toEqual([bytes, created]);
    run.destroy();
  });
});
