import { createRequire } from 'node:module';
import { describe, expect, inject, it } from 'vitest';
import { type DawnModule, openGpu, WebGpuUnavailableError } from './index.js';

const dawnFile = createRequire(import.meta.url).resolve(`webgpu/dist/${process.platform}-${process.arch}/dawn.node`);

describe('Dawn', () => {
  it('is taken from a path', async () => {
    const gpu = await openGpu({ dawn: dawnFile });
    expect(gpu.device.label).toBe('lapidary');
    gpu.destroy();
  });

  it('is taken from DAWN_NODE', async () => {
    process.env.DAWN_NODE = '/no/such/dawn.node';
    try {
      await expect(openGpu()).rejects.toThrow(WebGpuUnavailableError);
      await expect(openGpu()).rejects.toThrow(/\/no\/such\/dawn\.node.*webgpu@0\.6\.2/s);
    } finally {
      delete process.env.DAWN_NODE;
    }
  });

  it('is taken as a module, with toggles switched on and off', async () => {
    const real = createRequire(import.meta.url)(dawnFile) as DawnModule;
    const flags: string[] = [];
    const dawn: DawnModule = {
      create: (given) => real.create(flags.splice(0, flags.length, ...given) && given),
      globals: real.globals,
    };
    const gpu = await openGpu({ dawn, toggles: ['disable_symbol_renaming', '-use_vulkan_memory_model'] });
    gpu.destroy();
    expect(flags[0]).toMatch(/^enable-dawn-features=.*disable_symbol_renaming/);
    expect(flags[0]).not.toContain('use_vulkan_memory_model');
    expect(flags[1]).toMatch(/^disable-dawn-features=.*use_vulkan_memory_model/);
  });
});

describe.runIf(process.platform === 'linux')('forceSoftware', () => {
  it('opens an adapter that runs on the CPU', async () => {
    const gpu = await openGpu({ forceSoftware: true });
    expect(gpu.profile.adapter.isSoftware).toBe(true);
    gpu.destroy();
  });
});

it('tells the adapter apart by name', async () => {
  const gpu = await openGpu();
  const name = gpu.profile.adapter.description.split(/[ :]/)[0]!;
  gpu.destroy();
  const again = await openGpu({ adapter: name });
  expect(again.profile.adapter.description).toContain(name);
  expect(inject('adapter')).toBeDefined();
  again.destroy();
});
