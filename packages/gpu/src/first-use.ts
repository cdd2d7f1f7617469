import { platform } from '#platform';
import { GpuValidationError } from './errors.js';
import type { Gpu } from './gpu.js';
import { pipelineKey, type PipelineSpec } from './pipelines.js';

/** Devices take memory and threads of their own. */
const MOST_DEVICES = 8;
/** More than any kernel binds. */
const MOST_BINDINGS = 12;
/** Enough for every kernel's uniforms, and for one element of whatever its storage holds. */
const BINDING_BYTES = 4096;
/** A pipeline that took so long, in milliseconds, was in no cache, and tells whether it is now. */
const SLOW = 150;
/** A busy machine may make it look as if one was not. */
const MOST_FAILURES = 3;

/**
 * Mesa's lavapipe makes machine code of a pipeline when it is first dispatched: for one device one after another, in the first
 * step of a training run. Devices share it through Mesa's cache on disk. So pipelines are dispatched beforehand, without
 * workgroups, on as many other devices as there are processors; where that cache is switched off, they are left to the first step.
 */
export class FirstUse {
  readonly #gpu: Gpu;
  readonly #openAnother: () => Promise<Gpu>;
  /** By `pipelineKey`. */
  readonly #asked = new Set<string>();
  readonly #used = new Set<string>();
  readonly #waiting: PipelineSpec[] = [];
  readonly #helpers = new Set<Promise<void>>();
  #isShared = false;
  #failures = 0;
  #isStopped = false;

  constructor(gpu: Gpu, openAnother: () => Promise<Gpu>) {
    this.#gpu = gpu;
    this.#openAnother = openAnother;
    void gpu.lost.then(() => this.stop());
  }

  /** Uses pipelines for the first time. What fails here fails again, and is told, where they are used in earnest. */
  async of(specs: readonly PipelineSpec[]): Promise<void> {
    const { description, device } = this.#gpu.profile.adapter;
    if (!/llvmpipe/.test(`${description} ${device}`)) return;
    this.#waiting.push(...unseen(specs, this.#asked));
    while (this.#waiting.length > 0 && !this.#isStopped) {
      const most = Math.min(platform.processors(), MOST_DEVICES, this.#helpers.size + this.#waiting.length);
      while (this.#helpers.size < most) {
        const helper: Promise<void> = this.#help()
          .catch(() => this.stop())
          .finally(() => this.#helpers.delete(helper));
        this.#helpers.add(helper);
      }
      await Promise.race(this.#helpers);
    }
    await Promise.all(this.#helpers);
    if (!this.#isShared || this.#isStopped) return;
    const unused = unseen(specs, this.#used);
    if (unused.length > 0) await dispatchNothing(this.#gpu, unused).catch(() => undefined);
  }

  /** Leaves what has not begun, for good. */
  stop(): void {
    this.#isStopped = true;
  }

  async #help(): Promise<void> {
    const other = await this.#openAnother();
    try {
      while (!this.#isStopped && this.#waiting.length > 0) {
        const spec = this.#waiting.shift()!;
        const ms = await dispatchNothing(other, [spec]).catch(() => 0);
        if (this.#isShared || ms < SLOW) continue;
        if ((await dispatchNothing(this.#gpu, [spec])) < ms / 2) this.#isShared = true;
        else if (++this.#failures === MOST_FAILURES) this.stop();
      }
    } finally {
      other.destroy();
    }
  }
}

/** The specs, each once, that are not yet in `seen`, where they then are. */
function unseen(specs: readonly PipelineSpec[], seen: Set<string>): PipelineSpec[] {
  return specs.filter((spec) => {
    const key = pipelineKey(spec);
    return !seen.has(key) && seen.add(key);
  });
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
  // Not `gpu.idle()`: what else went wrong on the device is not to be told here.
  const { queue } = gpu.device;
  await platform.wait(Promise.race([queue.onSubmittedWorkDone(), gpu.lost]), queue);
  const ms = performance.now() - from;
  for (const buffer of [none, uniforms, ...nothing]) gpu.destroyBuffer(buffer);
  const wrong = await error;
  if (wrong !== null) throw new GpuValidationError({ message: wrong.message });
  return ms;
}
