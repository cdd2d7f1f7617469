import { baselineProfile, openGpu } from '@lapidary/gpu';
import { expect, test } from 'vitest';
import { RunTooLargeError } from '../../errors/errors.js';
import { checkFit, judgeFit, tryFit } from './check-fit.js';

const GiB = 2 ** 30;
const gpu = { ...baselineProfile, limits: { ...baselineProfile.limits, maxBufferSize: 2 * GiB } };
const cpu = { ...gpu, adapter: { ...gpu.adapter, isSoftware: true } };
const run = { gradientCheckpointing: false, lora: null, quantize: null };
const planOf = (totalBytes: number, largestBuffer = GiB) => ({
  totalBytes,
  largestBuffer,
  memory: [
    { category: 'Weights, as published', bytes: GiB },
    { category: 'Activations, gradients and workspace', bytes: totalBytes - GiB },
  ],
});
const machine = { total: 8 * GiB, free: 4 * GiB };

test('a GPU: the limit of one buffer is known, the memory is not, and that is said', () => {
  const fit = judgeFit(gpu, planOf(40 * GiB), run, machine);
  expect(fit).toMatchObject({ fits: null, refused: false });
  expect(fit.reason).toMatch(/largest buffer takes 1\.00 GiB of the 2\.00 GiB.*does not tell.*40\.0 GiB/);
  expect(judgeFit(gpu, planOf(4 * GiB, 3 * GiB), run, machine)).toMatchObject({ fits: false, refused: true });
  expect(judgeFit(cpu, planOf(40 * GiB), run, null)).toMatchObject({ fits: null, refused: false });
});

test("a software adapter: the machine's memory decides; more than it has is refused, with advice", () => {
  // More than one buffer may take, and yet it fits.
  expect(judgeFit(cpu, planOf(3 * GiB), run, machine)).toMatchObject({ fits: true, refused: false });
  expect(checkFit(cpu, planOf(3 * GiB), run, machine)).toBeNull();
  expect(checkFit(cpu, planOf(6 * GiB), run, machine)).toMatch(/may swap.*6\.00 GiB.*4\.00 GiB are free/);
  const refuse = () => checkFit(cpu, planOf(9 * GiB), run, machine);
  expect(refuse).toThrow(RunTooLargeError);
  expect(refuse).toThrow(/9\.00 GiB.*8\.00 GiB/);
  try {
    refuse();
  } catch (error) {
    expect((error as RunTooLargeError).advice[0]).toContain('`gradientCheckpointing`');
    expect((error as RunTooLargeError).hint).toContain('`gradientCheckpointing`');
  }
});

test('on a GPU what the limits leave open is tried', async () => {
  const device = await openGpu();
  // Told to be a GPU: the tests' own adapters compute on the CPU.
  Object.defineProperty(device, 'profile', { value: gpu });
  const small = planOf(2 * 2 ** 20, 2 ** 20);
  expect(await tryFit(device, small, run)).toMatchObject({ fits: true, refused: false });
  const pop = device.device.popErrorScope.bind(device.device);
  device.device.popErrorScope = async () => (await pop()) ?? new GPUOutOfMemoryError('none left');
  const full = await tryFit(device, small, run);
  expect(full).toMatchObject({ fits: false, refused: false });
  expect(full.reason).toBe('the GPU has no 2.00 MiB to give just now');
  device.destroy();
});
