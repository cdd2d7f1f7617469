import { expect, test } from 'vitest';
import { geglu, gegluBackward } from './geglu.js';
import { gegluBackwardReference, gegluReference } from '../reference/geglu.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';
import { bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';

test.each([
  { n: 1, limit: 0 },
  { n: 1021, limit: 0 },
  { n: 2048, limit: 0 },
  { n: 1000, limit: 1024 },
  { n: 521, limit: 1024 },
])('$n values, bindings up to $limit', async ({ n, limit }) => {
  const gpu = await testGpu();
  const profile = limit ? withBindingLimit(gpu.profile, limit) : gpu.profile;
  const gate = randomArray(n, 1, 6);
  const up = randomArray(n, 2);
  const dOut = randomArray(n, 3);
  const on = { gate: upload(gpu, gate), up: upload(gpu, up), n };
  const [out, dGate, dUp] = [emptyOutput(gpu, n), emptyOutput(gpu, n), emptyOutput(gpu, n)];
  const calls = [
    ...geglu(profile, { ...on, out }),
    ...gegluBackward(profile, { ...on, dOut: upload(gpu, dOut), dGate, dUp }),
  ];
  expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
  if (limit) expect(calls.length).toBeGreaterThan(2);
  await runKernels(gpu, calls);
  const grads = gegluBackwardReference(gate, up, dOut);
  expect(relativeError(await readF32(gpu, out, n), gegluReference(gate, up))).toBeLessThan(5e-7);
  expect(relativeError(await readF32(gpu, dGate, n), grads.dGate)).toBeLessThan(3e-6);
  expect(relativeError(await readF32(gpu, dUp, n), grads.dUp)).toBeLessThan(3e-6);
});

test('far gates give 0 or the gate itself, with slopes 0 and 1', async () => {
  const gpu = await testGpu();
  const gate = upload(gpu, [-1e4, -30, 30, 1e4]);
  const ones = upload(gpu, [1, 1, 1, 1]);
  const [out, dGate, dUp] = [emptyOutput(gpu, 4), emptyOutput(gpu, 4), emptyOutput(gpu, 4)];
  await runKernels(gpu, [
    ...geglu(gpu.profile, { gate, up: ones, out, n: 4 }),
    ...gegluBackward(gpu.profile, { gate, up: ones, dOut: ones, dGate, dUp, n: 4 }),
  ]);
  expect([...(await readF32(gpu, out, 4))].map((v) => v + 0)).toEqual([0, 0, 30, 1e4]);
  expect([...(await readF32(gpu, dGate, 4))].map((v) => v + 0)).toEqual([0, 0, 1, 1]);
});
