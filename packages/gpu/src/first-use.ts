import { platform } from '#platform';
import type { Gpu } from './gpu.js';
import { pipelineKey, type PipelineSpec } from './pipelines.js';

/** More than any kernel binds. */
const MOST_BINDINGS = 12;
/** Enough for every kernel's uniforms, and for one element of whatever its storage holds. */
const BINDING_BYTES = 4096;
/** What must have taken so long, in milliseconds, tells whether it was shared. */
const TELLING = 150;

/**
 * Mesa's lavapipe makes machine code of a pipeline when it is first dispatched: for one device one after another, in the first
 * step of a training run. Devices share it through Mesa's cache on disk. So pipelines are dispatched beforehand, without
 * workgroups, on as many other devices as there are processors; where that cache is switched off, they are left to the first step.
 */
export class FirstUse {
  readonly #gpu: Gpu;
  readonly #openAnother: () => Promise<Gpu>;
  readonly #asked = new Set<string>();
  #waiting: PipelineSpec[] = [];
  #isShared: boolean | undefined;
  readonly #helpers = new Set<Promise<void>>();

  constructor(gpu: Gpu, openAnother: () => Promise<Gpu>) {
    this.#gpu = gpu;
    this.#openAnother = openAnother;
  }

  /** Uses pipelines for the first time. What fails here fails again, and is told, where they are used in earnest. */
  async of(specs: readonly PipelineSpec[]): Promise<void> {
    const { description, device } = this.#gpu.profile.adapter;
    if (this.#isShared === false || !/llvmpipe/.test(`${description} ${device}`)) return;
    for (const spec of specs) {
      const key = pipelineKey(spec);
      if (!this.#asked.has(key)) this.#waiting.push(spec);
      this.#asked.add(key);
    }
    while (this.#helpers.size < Math.min(platform.processors(), this.#waiting.length)) {
      const helper: Promise<void> = this.#help()
        .catch(() => undefined)
        .finally(() => this.#helpers.delete(helper));
      this.#helpers.add(helper);
    }
    await Promise.all(this.#helpers);
    if (this.#isShared) await dispatchNothing(this.#gpu, specs).catch(() => 0);
  }

  /** Leaves what has not begun. */
  stop(): void {
    this.#waiting = [];
  }

  async #help(): Promise<void> {
    const other = await this.#openAnother();
    try {
      for (let spec = this.#waiting.shift(); spec !== undefined; spec = this.#waiting.shift()) {
        const ms = await dispatchNothing(other, [spec]);
        if (this.#isShared !== undefined || ms < TELLING) continue;
        const again = await dispatchNothing(this.#gpu, [spec]);
        this.#isShared ??= again < ms / 2;
        if (!this.#isShared) this.stop();
      }
    } finally {
      other.destroy();
    }
  }
}

/**
 * Dispatches no workgroups of pipelines, on buffers of nothing, and says how many milliseconds that took when they were there.
 * The number of workgroups comes from a buffer: Dawn warns of a 0 it can see.
 */
async function dispatchNothing(gpu: Gpu, specs: readonly PipelineSpec[]): Promise<number> {
  const compiled = await Promise.all(specs.map((spec) => gpu.pipelines.get(spec)));
  const none = gpu.createBuffer(12, 'no workgroups', GPUBufferUsage.INDIRECT);
  const uniforms = gpu.createBuffer(BINDING_BYTES, 'no uniforms', GPUBufferUsage.UNIFORM);
  const nothing = Array.from({ length: MOST_BINDINGS }, () => gpu.createBuffer(BINDING_BYTES, 'nothing'));
  gpu.device.pushErrorScope('validation');
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const [i, { pipeline, layout }] of compiled.entries()) {
    const buffers = [uniforms, ...nothing.slice(0, specs[i]!.access.length)];
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroupsIndirect(none, 0);
  }
  pass.end();
  const from = performance.now();
  gpu.submit([encoder.finish()]);
  const error = gpu.device.popErrorScope();
  await gpu.idle();
  const ms = performance.now() - from;
  await error;
  for (const buffer of [none, uniforms, ...nothing]) gpu.destroyBuffer(buffer);
  return ms;
}
