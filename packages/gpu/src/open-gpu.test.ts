import { afterEach, describe, expect, inject, it } from 'vitest';
import {
  canAllocate,
  describeAdapter,
  Gpu,
  GpuOutOfMemoryError,
  GpuValidationError,
  NoAdapterError,
  openGpu,
  readProfile,
  ShaderCompilationError,
} from './index.js';

const opened: Gpu[] = [];
async function open(...args: Parameters<typeof openGpu>): Promise<Gpu> {
  const gpu = await openGpu(...args);
  opened.push(gpu);
  return gpu;
}
afterEach(() => {
  for (const gpu of opened.splice(0)) gpu.destroy();
});

describe('openGpu', () => {
  it('opens the adapter that this test run is meant for', async () => {
    const { profile } = await open();
    console.log(`adapter: ${describeAdapter(profile.adapter)}`);
    expect(describeAdapter(profile.adapter).toLowerCase()).toContain(inject('adapter'));
    if (profile.adapter.isSoftware) expect(describeAdapter(profile.adapter)).toContain('on the CPU');
  });

  it('asks for more than the default limits', async () => {
    const { device, profile } = await open();
    expect(profile.limits.maxBufferSize).toBe(device.limits.maxBufferSize);
    expect(profile.limits.maxBufferSize).toBeGreaterThan(268_435_456);
    expect(profile.limits.maxStorageBuffersPerShaderStage).toBeGreaterThan(8);
    expect(profile.limits.maxComputeWorkgroupStorageSize).toBeGreaterThan(16_384);
  });

  it('takes a device that somebody else opened', async () => {
    const { device, profile } = await open();
    const theirs = new Gpu(device, readProfile(device, device.adapterInfo, profile.adapter.backend));
    expect(theirs.profile).toEqual(profile);
    theirs.createBuffer(16, 'theirs');
    await theirs.idle();
    expect(theirs.counters.buffers).toBe(1);
  });

  it('takes subgroups where the adapter has them, and says their size', async () => {
    const { profile, device } = await open();
    expect(profile.features.has('subgroups')).toBe(device.features.has('subgroups'));
    if (profile.features.has('subgroups')) expect(profile.subgroupSize.min).toBeGreaterThanOrEqual(4);
    else expect(profile.subgroupSize).toEqual({ min: 0, max: 0 });
  });

  it('names the features an adapter lacks', async () => {
    const failed = openGpu({ requiredFeatures: ['timestamp-query', 'no-such-feature'] });
    await expect(failed).rejects.toThrow(NoAdapterError);
    await expect(failed).rejects.toThrow(/lacks the required features no-such-feature/);
  });

  it('says which adapters there are when none has the name asked for', async () => {
    const failed = openGpu({ adapter: 'no such adapter' });
    await expect(failed).rejects.toThrow(NoAdapterError);
    await expect(failed).rejects.toThrow(/'no such adapter'.*(found:|offers) ?'?\w+/);
  });

  it('opens devices that do not disturb each other', async () => {
    const [a, b] = await Promise.all([open(), open()]);
    a.destroy();
    expect((await a.lost).reason).toBe('destroyed');
    b.createBuffer(1024, 'still works');
    await b.idle();
  });
});

describe('canAllocate', () => {
  it('takes memory for a moment, in several pieces, and leaves nothing behind', async () => {
    const gpu = await open();
    expect(await canAllocate(gpu, 300 * 2 ** 20 + 2)).toBe(true);
    expect(gpu.counters.bytes).toBe(0);
    await gpu.idle();
  });

  it('says no where the device has none, and that is no error of the device', async () => {
    const gpu = await open();
    // The drivers of these tests give more than there is: what one says that does not.
    const pop = gpu.device.popErrorScope.bind(gpu.device);
    let scopes = 0;
    gpu.device.popErrorScope = async () =>
      (await pop()) ?? (++scopes === 2 ? new GPUOutOfMemoryError('none left') : null);
    expect(await canAllocate(gpu, 2 ** 20)).toBe(false);
    await gpu.idle();
  });
});

describe('what goes wrong on a device', () => {
  it('is a GpuOutOfMemoryError for a buffer beyond the limit, with the limit in it', async () => {
    const gpu = await open();
    const tooMuch = gpu.profile.limits.maxBufferSize + 4;
    expect(() => gpu.createBuffer(tooMuch, 'giant')).toThrow(GpuOutOfMemoryError);
    expect(() => gpu.createBuffer(tooMuch, 'giant')).toThrow(/'giant'.*maxBufferSize/);
  });

  it('is a GpuValidationError, once, for a wrong command', async () => {
    const gpu = await open();
    const buffer = gpu.createBuffer(16, 'small');
    gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(64));
    await expect(gpu.idle()).rejects.toThrow(GpuValidationError);
    await gpu.idle();
  });

  it('is a ShaderCompilationError with file, line and text for a wrong shader', async () => {
    const gpu = await open();
    const source = '@compute @workgroup_size(1)\nfn main() {\n  let wrong: f32 = 1u;\n}\n';
    const error = await gpu.pipelines.get({ shader: 'test/wrong', source, access: [] }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ShaderCompilationError);
    const { place } = error as ShaderCompilationError;
    expect(place.file).toContain('test/wrong.wesl');
    expect(place.line).toBe(3);
    expect(place.column).toBeGreaterThan(0);
    expect(place.snippet).toContain('let wrong');
  });
});
