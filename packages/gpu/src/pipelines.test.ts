import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  DeviceLostError,
  type Gpu,
  openGpu,
  PipelineCache,
  type PipelineSpec,
  ShaderCompilationError,
} from './index.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const spec: PipelineSpec = {
  shader: 'test/nothing',
  source: '@compute @workgroup_size(1) fn main() {}',
  access: [],
};

/** The same device, whose driver fails at what follows; `lost`: since it goes. */
function failing(lost: Promise<GPUDeviceLostInfo>): GPUDevice {
  const own: Partial<GPUDevice> = {
    lost,
    createComputePipelineAsync: () => Promise.reject(new GPUPipelineError('the driver failed', { reason: 'internal' })),
  };
  return new Proxy(gpu.device, {
    get(device, key) {
      if (key in own) return own[key as keyof GPUDevice];
      const value: unknown = Reflect.get(device, key, device);
      return typeof value === 'function' ? (value.bind(device) as unknown) : value;
    },
  });
}

it('equal specs are compiled once, also while the first still compiles', async () => {
  const pipelines = new PipelineCache(gpu.device);
  const [first, again] = await Promise.all([pipelines.get(spec), pipelines.get({ ...spec })]);
  expect(again).toBe(first);
  expect(await pipelines.get(spec)).toBe(first);
  expect(pipelines.created).toBe(1);
});

it('a pipeline that the driver refuses is an error of its shader', async () => {
  const pipelines = new PipelineCache(failing(new Promise(() => undefined)));
  const error = await pipelines.get(spec).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ShaderCompilationError);
  expect((error as ShaderCompilationError).place).toMatchObject({ file: 'test/nothing.wesl' });
  expect((error as ShaderCompilationError).message).toContain('the driver failed');
});

it('a pipeline that fails because the device goes is a device lost, even if that is told a moment later', async () => {
  const info = { reason: 'unknown', message: 'driver reset' } as GPUDeviceLostInfo;
  const later = new Promise<GPUDeviceLostInfo>((resolve) => setTimeout(() => resolve(info)));
  await expect(new PipelineCache(failing(later)).get(spec)).rejects.toThrow(DeviceLostError);
});
