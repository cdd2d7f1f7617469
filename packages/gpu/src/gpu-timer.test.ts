import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gpu, GpuTimer, openGpu } from './index.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const source = /* wgsl */ `
@group(0) @binding(0) var<uniform> rounds: u32;
@group(0) @binding(1) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  var x = data[id.x];
  for (var i = 0u; i < rounds; i++) { x = fma(x, 0.999, 0.5); }
  data[id.x] = x;
}`;

it('times each pass under its label, again and again, and gives its buffers back', async (context) => {
  if (!GpuTimer.isSupported(gpu)) return context.skip('no timestamp-query here');
  const before = gpu.counters.bytes;
  const timer = new GpuTimer(gpu, 2);
  const { pipeline, layout } = await gpu.pipelines.get({ shader: 'test/timer', source, access: ['read_write'] });
  const data = gpu.createBuffer(4 * 65_536, 'data');
  const rounds = [1, 2000].map((count) => {
    const buffer = gpu.createBuffer(16, 'rounds', GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    gpu.device.queue.writeBuffer(buffer, 0, new Uint32Array([count]));
    return buffer;
  });
  for (let repeat = 0; repeat < 2; repeat++) {
    const encoder = gpu.device.createCommandEncoder();
    for (const [i, label] of ['short', 'long'].entries()) {
      const pass = encoder.beginComputePass(timer.pass(label));
      pass.setPipeline(pipeline);
      const entries = [rounds[i]!, data].map((buffer, binding) => ({ binding, resource: { buffer } }));
      pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(1024);
      pass.end();
    }
    expect(() => timer.pass('one too many')).toThrow(/holds 2 passes/);
    timer.resolve(encoder);
    gpu.submit([encoder.finish()]);
    const times = await timer.read();
    gpu.check();
    expect(times.map(({ label }) => label)).toEqual(['short', 'long']);
    for (const { milliseconds } of times) expect(milliseconds).toBeGreaterThanOrEqual(0);
    // Two thousand times the work, on whatever clock: not a measurement, but it tells the passes apart.
    if (repeat === 1) expect(times[1]!.milliseconds).toBeGreaterThanOrEqual(times[0]!.milliseconds);
  }
  timer.destroy();
  for (const buffer of [data, ...rounds]) gpu.destroyBuffer(buffer);
  expect(gpu.counters.bytes).toBe(before);
});

it('refuses an absurd capacity', (context) => {
  if (!GpuTimer.isSupported(gpu)) return context.skip('no timestamp-query here');
  expect(() => new GpuTimer(gpu, 5000)).toThrow(RangeError);
});
