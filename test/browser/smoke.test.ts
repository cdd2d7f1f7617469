import { openGpu } from '@lapidary/gpu';
import { shaderSources } from '@lapidary/shaders';
import { afterAll, beforeAll, expect, it } from 'vitest';

// Nothing here or below may be Node-only by accident: this file runs in Node and in Chromium, with the same result.

const triple = /* wgsl */ `
struct Sizes { n: u32 }
@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < sizes.n) { output[id.x] = 3 * input[id.x]; }
}
`;

let gpu: Awaited<ReturnType<typeof openGpu>>;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

it('has the shaders at hand', () => {
  expect(Object.keys(shaderSources).length).toBeGreaterThan(0);
});

it('links, compiles, runs and reads back', async () => {
  const n = 1001;
  const { device } = gpu;
  const { pipeline, layout } = await gpu.pipelines.get({
    shader: 'test/triple',
    source: triple,
    access: ['read', 'read_write'],
  });
  const sizes = gpu.createBuffer(16, 'sizes', GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
  const input = gpu.createBuffer(n * 4, 'input');
  const output = gpu.createBuffer(n * 4, 'output');
  const staging = gpu.createBuffer(n * 4, 'staging', GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  device.queue.writeBuffer(sizes, 0, new Uint32Array([n]));
  device.queue.writeBuffer(
    input,
    0,
    Float32Array.from({ length: n }, (_, i) => i),
  );

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [sizes, input, output].map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
  pass.dispatchWorkgroups(Math.ceil(n / 64));
  pass.end();
  encoder.copyBufferToBuffer(output, 0, staging, 0, n * 4);
  gpu.submit([encoder.finish()]);
  await gpu.idle();
  await staging.mapAsync(GPUMapMode.READ);
  expect([...new Float32Array(staging.getMappedRange())]).toEqual(Array.from({ length: n }, (_, i) => 3 * i));
});
