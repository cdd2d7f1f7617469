import { platform } from '#platform';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Gpu, openGpu, type PipelineSpec, ShaderCompilationError } from './index.js';

let shared: Gpu;
beforeAll(async () => {
  shared = await openGpu();
});
afterAll(() => shared.destroy());

/** The same device as an adapter of this name has it, with nothing compiled, and the devices opened beside it. */
function named(description: string, open = () => openGpu()) {
  const { device, profile } = shared;
  const others: Gpu[] = [];
  const another = async () => {
    const other = await open();
    others.push(other);
    return other;
  };
  const adapter = { ...profile.adapter, device: '', description };
  return { gpu: new Gpu(device, { ...profile, adapter }, another), others };
}

const created = (gpus: readonly Gpu[]) => gpus.reduce((sum, { pipelines }) => sum + pipelines.created, 0);

/** Pipelines that differ, of two storage bindings each. */
const specs = Array.from(
  { length: 6 },
  (_, i): PipelineSpec => ({
    shader: `test/add-${i}`,
    source: /* wgsl */ `
    @group(0) @binding(0) var<uniform> count: vec4u;
    @group(0) @binding(1) var<storage, read> a: array<f32>;
    @group(0) @binding(2) var<storage, read_write> b: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < count.x) { b[id.x] += a[id.x] * ${i}.0; }
    }`,
    access: ['read', 'read_write'],
  }),
);

it('compiles on other devices where pipelines are made on their first use, and gives those back', async () => {
  const { gpu, others } = named('llvmpipe (LLVM 15.0.6, 256 bits)');
  await gpu.compile(specs);
  expect(others.length).toBe(Math.min(platform.processors(), specs.length));
  // Fewer where a busy machine makes it look as if they were not shared.
  expect(created(others)).toBeGreaterThan(0);
  expect(others.reduce((sum, { counters }) => sum + counters.bindGroups, 0)).toBe(created(others));
  expect(created(others)).toBeLessThanOrEqual(specs.length);
  for (const other of others) {
    expect(other.counters.bytes).toBe(0);
    await other.lost;
  }
  expect(gpu.pipelines.created).toBe(specs.length);
  expect(gpu.counters.bytes).toBe(0);
  gpu.check();
  shared.check();
});

it('does so once', async () => {
  const { gpu, others } = named('llvmpipe');
  await Promise.all([gpu.compile(specs), gpu.compile(specs.slice(3))]);
  expect(created(others)).toBeGreaterThan(0);
  const opened = others.length;
  await gpu.compile(specs);
  expect(others.length).toBe(opened);
  expect(created(others)).toBeLessThanOrEqual(specs.length);
});

it('compiles on its own device alone elsewhere', async () => {
  const { gpu, others } = named('SwiftShader Device');
  await gpu.compile(specs);
  expect(gpu.pipelines.created).toBe(specs.length);
  expect(others).toEqual([]);
});

it('does without other devices where none can be opened', async () => {
  const { gpu } = named('llvmpipe', () => Promise.reject(new Error('no more devices')));
  await gpu.compile(specs);
  expect(gpu.pipelines.created).toBe(specs.length);
});

it('fails as the pipeline does', async () => {
  const { gpu, others } = named('llvmpipe');
  const wrong: PipelineSpec = { shader: 'test/wrong', source: 'fn main() { let x = ; }', access: [] };
  await expect(gpu.compile([specs[0]!, wrong])).rejects.toThrow(ShaderCompilationError);
  await expect(gpu.compile([specs[0]!])).resolves.toBeUndefined();
  await Promise.all(others.map(({ lost }) => lost));
});

it('leaves what has not begun when the device is given back', async () => {
  let open = () => {};
  const isOpen = new Promise<void>((resolve) => (open = resolve));
  const others: Gpu[] = [];
  const { device, profile } = await openGpu();
  const adapter = { ...profile.adapter, description: 'llvmpipe' };
  const gpu = new Gpu(device, { ...profile, adapter }, async () => {
    await isOpen;
    const other = await openGpu();
    others.push(other);
    return other;
  });
  const compiling = gpu.compile(specs);
  gpu.destroy();
  open();
  await compiling.catch(() => undefined);
  await Promise.all(others.map(({ lost }) => lost));
  expect(created(others)).toBe(0);
});
