import { openGpu } from '@lapidary/gpu';
import { expect, it } from 'vitest';
import { add, planProgram, Program, softmax, Variable } from '../index.js';

it('prepare compiles what a program takes, before its variables are there, and allocates nothing', async () => {
  const gpu = await openGpu();
  const x = new Variable('x', { shape: [2, 3], dtype: 'f32' }, 'weights');
  const plan = planProgram(gpu.profile, [softmax(add(x.tensor, 1))], []);
  await Program.prepare(gpu, plan);
  const { created } = gpu.pipelines;
  expect(created).toBeGreaterThanOrEqual(2);
  expect(gpu.counters.bytes).toBe(0);
  x.allocate(gpu).write(new Float32Array(6));
  const program = await Program.create(gpu, plan);
  expect(gpu.pipelines.created).toBe(created);
  program.run();
  for (const value of await program.read(0)) expect(value).toBeCloseTo(1 / 3, 6);
  gpu.destroy();
});
