// Run by traps.node.test.ts in a process of its own: argv[2] names a way to end with GPU work pending or instances collected.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { openGpu } from '../index.js';
import type { Gpu } from '../index.js';

const slow = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  var x = data[id.x];
  for (var i = 0u; i < 1000u; i++) { x = fma(x, 0.999, 0.5); }
  data[id.x] = x;
}`;

/** Submits some seconds of work and returns when it is under way. */
async function submitWork({ device }: Gpu): Promise<void> {
  const module = device.createShaderModule({ code: slow });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const buffer = device.createBuffer({ size: 1 << 20, usage: GPUBufferUsage.STORAGE });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  for (let i = 0; i < 10; i++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups((1 << 18) / 64);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  device.queue.onSubmittedWorkDone().catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
}

async function collect(gpu: Gpu): Promise<void> {
  for (let i = 0; i < 20; i++) {
    global.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const buffer = gpu.device.createBuffer({ size: 1024, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
    gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(1024));
    await gpu.device.queue.onSubmittedWorkDone();
  }
}

const endings: Record<string, (gpu: Gpu) => unknown> = {
  natural: submitWork,
  exit: async (gpu) => {
    await submitWork(gpu);
    process.exit(7);
  },
  throw: async (gpu) => {
    await submitWork(gpu);
    setImmediate(() => {
      throw new Error('thrown on purpose');
    });
  },
  sigint: async (gpu) => {
    await submitWork(gpu);
    process.kill(process.pid, 'SIGINT');
  },
  sigtermHandled: async (gpu) => {
    await submitWork(gpu);
    process.on('SIGTERM', () => process.exit(9));
    process.kill(process.pid, 'SIGTERM');
    setInterval(() => undefined, 1000);
  },
  gc: collect,
  gcDropped: async () => {
    // Devices that nobody holds any more are collected, or not, but nothing crashes.
    for (let i = 0; i < 5; i++) await openGpu();
    await collect(await openGpu());
  },
  destroyed: async (gpu) => {
    await submitWork(gpu);
    gpu.destroy();
    const lost = await gpu.lost;
    console.log(`lost: ${lost.name} ${lost.reason}`);
    let thrown = 'nothing';
    try {
      gpu.createBuffer(4, 'late');
    } catch (error) {
      thrown = (error as Error).name;
    }
    console.log(`then: ${thrown}`);
  },
};

// The same ending in a worker thread, whose exit code is printed.
async function inWorker(ending: string): Promise<void> {
  // Where the machine has no driver, this makes SwiftShader visible to every thread.
  (await openGpu()).destroy();
  // A worker does not inherit tsx from --import on Node 20.
  const code = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(import.meta.url)}); });`;
  const worker = new Worker(code, { eval: true, workerData: ending });
  worker.on('error', (error) => console.log(`worker error: ${error.message}`));
  console.log(`worker exit: ${await new Promise((resolve) => worker.once('exit', resolve))}`);
}

const [kind = '', where = 'main'] = process.argv.slice(2);
if (!isMainThread) await endings[workerData as string]?.(await openGpu());
else if (where === 'worker') await inWorker(kind);
else await endings[kind]?.(await openGpu());
if (isMainThread) console.log('end of script');
