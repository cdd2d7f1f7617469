// Averages as torch.optim.swa_utils has them, in float64 (test/fixtures/optimizers/ema.safetensors).
import { baselineProfile, openGpu, type Gpu } from '@lapidary/gpu';
import {
  constant,
  evaluate,
  planProgram,
  Program,
  TensorLike,
  TensorShapeError,
  trace,
  Variable,
  variableFrom,
} from '@lapidary/tensor';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixtureTensors } from '../../../../test/support/safetensors-fixture.js';
import { ema } from './ema.js';
import { relativeL2 } from './testing/optimizer-run.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

it.each([0.9, 0.9999])('follows parameters for 12 steps, decay %d', async (decay) => {
  const tensors = await fixtureTensors('optimizers/ema.safetensors');
  const names = [...tensors.keys()].filter((key) => key.startsWith('start/')).map((key) => key.slice(6));
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) {
    const { data, shape } = tensors.get(`start/${name}`)!;
    const average = variableFrom(gpu, data, shape);
    const { plan } = trace(
      gpu.profile,
      ({ param }: { param: Variable['tensor'] }) => ({
        outputs: {},
        updates: [{ variable: average, value: ema(average.tensor, param, decay) }],
      }),
      { param: new TensorLike('f32', shape) },
    );
    const program = await Program.create(gpu, plan);
    for (let step = 0; step < 12; step++) {
      program.run({ param: tensors.get(`${step}/${name}/param`)!.data });
      const expected = tensors.get(`${decay}/${step}/${name}/average`)!.data;
      expect(relativeL2(await average.read(), expected), `step ${step}: ${name}`).toBeLessThan(3e-7);
    }
    program.destroy();
    average.destroy();
  }
});

it('takes 1 − decay from double precision', async () => {
  const [average] = await evaluate(gpu, [
    ema(variableFrom(gpu, Float32Array.of(0), [1]).tensor, constant(1, [1]), 0.9999),
  ]);
  expect(Math.abs(average![0]! - 1e-4)).toBeLessThan(1e-11);
});

it('is one kernel, in place', () => {
  const [average, param] = ['average', 'param'].map(
    (name) => new Variable(name, { shape: [64, 40], dtype: 'f32' }, 'state'),
  ) as [Variable, Variable];
  const plan = planProgram(
    baselineProfile,
    [],
    [{ variable: average, value: ema(average.tensor, param.tensor, 0.999) }],
  );
  expect(plan.calls.length).toBe(1);
  expect(plan.memory.temporaries).toBe(0);
});

it('refuses shapes and decays that make no average', () => {
  const x = new Variable('x', { shape: [2], dtype: 'f32' }, 'state').tensor;
  const y = new Variable('y', { shape: [3], dtype: 'f32' }, 'state').tensor;
  expect(() => ema(x, y, 0.9)).toThrow(TensorShapeError);
  for (const decay of [1, -0.1, Number.NaN]) expect(() => ema(x, x, decay)).toThrow(/decay is/);
});
