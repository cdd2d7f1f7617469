import type { CompiledPipeline, Gpu, PipelineSpec } from '@lapidary/gpu';
import {
  byteLength,
  checkKernels,
  encodeDispatch,
  profileClock,
  timePasses,
  type Dispatch,
  type DType,
} from '@lapidary/kernels';
import { formatType, sizeOf, type Tensor, type TensorType } from '../graph.js';
import { uniformLayout, type Home, type InputTypes, type ProgramPlan } from './plan.js';
import { sumByKernel, timedDispatches, type ProfileOptions, type ProgramProfile } from './profile.js';

/**
 * What the host writes into an input: f32 from a Float32Array, i32 from an Int32Array, u32 from a Uint32Array, f16 and bf16 from a
 * Uint16Array, and any dtype's own bytes from a Uint8Array.
 */
export type HostData = Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

/** Values for a program's inputs, by name. */
export type HostInputs<T extends InputTypes> = { readonly [K in keyof T]: HostData };

/** Inputs may only be left out where there need be none. */
type RunArguments<T extends InputTypes> =
  Record<never, never> extends HostInputs<T> ? [inputs?: HostInputs<T>] : [inputs: HostInputs<T>];

/** A program was run with missing or wrong inputs, or after it was destroyed. */
export class ProgramInputError extends Error {
  override readonly name = 'ProgramInputError';
}

/** An output that a program does not have, that is read as what it is not, or that a later run has overwritten. */
export class ProgramOutputError extends Error {
  override readonly name = 'ProgramOutputError';
}

/** A plan uses a kernel variant that fails the device's self-test: it was made before `checkKernels` had found that out. */
export class DisabledVariantError extends Error {
  override readonly name = 'DisabledVariantError';
  readonly variantId: string;
  constructor(variantId: string) {
    super(
      `This plan runs ${variantId}, which computes wrong numbers on this device. Await checkKernels(gpu) before planning: ` +
        'what is planned afterwards, from gpu.profile, uses another variant.',
    );
    this.variantId = variantId;
  }
}

/**
 * Buffers for temporaries and inputs that several programs share: they never run at the same time, and each run writes all inputs, so the
 * most any of them needs is enough for all.
 */
export class SlotPool {
  readonly buffers: readonly GPUBuffer[];
  /** By the inputs' names. */
  readonly inputs: ReadonlyMap<string, GPUBuffer>;
  readonly #gpu: Gpu;

  constructor(gpu: Gpu, plans: readonly ProgramPlan[]) {
    this.#gpu = gpu;
    const buffers: GPUBuffer[] = [];
    const inputs = new Map<string, GPUBuffer>();
    this.buffers = buffers;
    this.inputs = inputs;
    try {
      for (const [i, bytes] of sharedSlotBytes(plans).entries()) buffers.push(gpu.createBuffer(bytes, `shared ${i}`));
      for (const [name, bytes] of sharedInputBytes(plans)) inputs.set(name, gpu.createBuffer(bytes, `input ${name}`));
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  destroy(): void {
    for (const buffer of [...this.buffers, ...this.inputs.values()]) this.#gpu.destroyBuffer(buffer);
  }
}

/** Bytes of each buffer of a pool for these plans. A plan's slots come largest first. */
export function sharedSlotBytes(plans: readonly ProgramPlan[]): number[] {
  const count = Math.max(0, ...plans.map((plan) => plan.slotBytes.length));
  return Array.from({ length: count }, (_, i) => Math.max(...plans.map((plan) => plan.slotBytes[i] ?? 0)));
}

/** Bytes of each input's buffer of a pool for these plans, by its name. */
export function sharedInputBytes(plans: readonly ProgramPlan[]): Map<string, number> {
  const most = new Map<string, number>();
  for (const { name, tensor } of plans.flatMap(({ inputs }) => inputs))
    most.set(name, Math.max(most.get(name) ?? 4, tensor.bytes));
  return most;
}

/** Arrays of the host by the dtypes whose values they hold; a Uint8Array holds the bytes of any. */
const dtypesOf: Readonly<Partial<Record<string, readonly DType[]>>> = {
  Float32Array: ['f32'],
  Int32Array: ['i32'],
  Uint32Array: ['u32'],
  Uint16Array: ['f16', 'bf16'],
};

/** Dispatches in one command buffer: short ones keep a personal machine responsive and below driver watchdogs. */
const DISPATCHES_PER_SUBMIT = 256;

/**
 * A plan with its memory, pipelines and bind groups made: runs any number of times without making more. Results stay on the
 * GPU until read; the next run overwrites them.
 */
export class Program<T extends InputTypes = InputTypes, O extends string = string> {
  readonly plan: ProgramPlan<T, O>;
  readonly #gpu: Gpu;
  readonly #steps: readonly Dispatch[];
  readonly #inputs: ReadonlyMap<string, { buffer: GPUBuffer; tensor: Tensor }>;
  readonly #outputs: readonly { buffer: GPUBuffer; staging: GPUBuffer }[];
  readonly #owned: GPUBuffer[];
  #reading: Promise<unknown> = Promise.resolve();
  #runs = 0;
  #isDestroyed = false;

  private constructor(
    gpu: Gpu,
    plan: ProgramPlan<T, O>,
    steps: readonly Dispatch[],
    inputs: ReadonlyMap<string, { buffer: GPUBuffer; tensor: Tensor }>,
    outputs: readonly { buffer: GPUBuffer; staging: GPUBuffer }[],
    owned: GPUBuffer[],
  ) {
    this.#gpu = gpu;
    this.plan = plan;
    this.#steps = steps;
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.#owned = owned;
  }

  /**
   * Compiles a plan's pipelines, all at once, asynchronously: `create` then finds them made. Needs no variable and allocates
   * nothing, so it can go on while weights load.
   * @throws KernelCheckError where the device computes wrong numbers, DisabledVariantError where this plan would;
   * ShaderCompilationError, DeviceLostError.
   */
  static async prepare(gpu: Gpu, plan: ProgramPlan): Promise<void> {
    await checkPlan(gpu, plan);
    await gpu.compile(plan.calls.map(pipelineOf));
  }

  /**
   * Allocates a plan's memory, compiles what pipelines `prepare` has not, and makes its bind groups.
   * Variables must be allocated already. Temporaries and inputs live in `pool`, if one is given that was made for this plan too.
   * @throws what `prepare` throws.
   */
  static async create<T extends InputTypes, O extends string>(
    gpu: Gpu,
    plan: ProgramPlan<T, O>,
    pool?: SlotPool,
  ): Promise<Program<T, O>> {
    await checkPlan(gpu, plan);
    const compiled = await Promise.all(plan.calls.map((call) => gpu.pipelines.get(pipelineOf(call))));
    const owned: GPUBuffer[] = [];
    const make = (bytes: number, label: string, usage?: GPUBufferUsageFlags) => {
      const buffer = gpu.createBuffer(bytes, label, usage);
      owned.push(buffer);
      return buffer;
    };
    try {
      const slots = pool?.buffers ?? plan.slotBytes.map((bytes, i) => make(bytes, `temporary ${i}`));
      const inputs = new Map(
        plan.inputs.map(({ name, tensor }) => [
          name,
          { buffer: pool?.inputs.get(name) ?? make(tensor.bytes, `input ${name}`), tensor },
        ]),
      );
      const outputs = plan.outputs.map((tensor, i) => ({
        buffer: make(tensor.bytes, `output ${i}`),
        staging: make(tensor.bytes, `output ${i} read back`, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
      }));
      const bufferOf = (home: Home): GPUBuffer => {
        switch (home.kind) {
          case 'variable':
            return home.variable.buffer;
          case 'input':
            return inputs.get(home.name)!.buffer;
          case 'output':
            return outputs[home.index]!.buffer;
          case 'slot':
            return slots[home.slot]!;
        }
      };
      const steps = makeSteps(gpu, plan, compiled, bufferOf, make);
      gpu.check();
      return new Program(gpu, plan, steps, inputs, outputs, owned);
    } catch (error) {
      for (const buffer of owned) gpu.destroyBuffer(buffer);
      throw error;
    }
  }

  /** How many runs have begun: each overwrites what the one before gave. */
  get runs(): number {
    return this.#runs;
  }

  /**
   * Writes the inputs and submits every kernel. Does not wait; read an output or call `gpu.idle()` for that.
   * @throws ProgramInputError
   */
  run(...[inputs]: RunArguments<T>): void {
    this.#write(inputs ?? {});
    const { device } = this.#gpu;
    for (let first = 0; first < this.#steps.length; first += DISPATCHES_PER_SUBMIT) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const step of this.#steps.slice(first, first + DISPATCHES_PER_SUBMIT)) encodeDispatch(pass, step);
      pass.end();
      this.#gpu.submit([encoder.finish()]);
    }
  }

  /**
   * One run as `run` does it (variables are updated), but each kernel in a pass of its own that is timed, and waited for.
   * Browsers round timestamps to 0.1 ms unless told otherwise.
   * @throws ProgramInputError; TimestampsUnavailableError where `clock: 'gpu'` is asked of a device that has no timestamps.
   */
  async profile(
    inputs: HostInputs<T>,
    { clock = profileClock(this.#gpu), ceiling }: ProfileOptions = {},
  ): Promise<ProgramProfile> {
    this.#write(inputs);
    const passes = this.#steps.map((step) => [step]);
    const dispatches = timedDispatches(this.plan, await timePasses(this.#gpu, passes, clock));
    return {
      clock,
      nanoseconds: dispatches.reduce((sum, dispatch) => sum + dispatch.nanoseconds, 0),
      kernels: sumByKernel(dispatches, ceiling && { ceiling }),
      dispatches,
    };
  }

  #write(inputs: Readonly<Record<string, HostData | undefined>>): void {
    this.#gpu.check();
    this.#needLive();
    const { inputTypes } = this.plan;
    for (const [name, data] of Object.entries(inputs)) {
      if (data !== undefined && !Object.hasOwn(inputTypes, name))
        throw new ProgramInputError(
          `this program has no input '${name}'; it has: ${Object.keys(inputTypes).join(', ')}`,
        );
    }
    const bytes = [...this.#inputs].map(([name, { tensor }]) => bytesOf(name, tensor, inputs[name]));
    [...this.#inputs.values()].forEach(({ buffer }, i) => {
      this.#gpu.device.queue.writeBuffer(buffer, 0, bytes[i]!);
    });
    this.#runs++;
  }

  #noOutput(output: string | number): ProgramOutputError {
    const { outputs, outputNames } = this.plan;
    return new ProgramOutputError(`no output '${output}'; there are ${outputs.length}: ${outputNames.join(', ')}`);
  }

  #needLive(): void {
    if (this.#isDestroyed) throw new ProgramInputError('this program was destroyed; make another one of its plan');
  }

  /**
   * The bytes of one output of the last run. Waits for the GPU.
   * @throws ProgramOutputError, also where another run begins before these bytes are copied: read before it, and wait
   */
  async readBytes(output: number): Promise<ArrayBuffer> {
    const found = this.#outputs[output];
    if (found === undefined) throw this.#noOutput(output);
    const { buffer, staging } = found;
    const runs = this.#runs;
    const read = this.#reading.then(async () => {
      this.#needLive();
      if (this.#runs !== runs) throw overwritten();
      const encoder = this.#gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
      this.#gpu.submit([encoder.finish()]);
      const bytes = await this.#gpu.readMapped(staging);
      this.#gpu.check();
      return bytes;
    });
    // One read at a time: a staging buffer cannot be mapped twice. A failed read does not stop later ones.
    this.#reading = read.catch(() => undefined);
    return read;
  }

  /**
   * The values of one f32 output of the last run, by its name or its number. Waits for the GPU.
   * @throws ProgramOutputError, as `readBytes`; for what is not f32 too
   */
  async read(output: O | number): Promise<Float32Array> {
    const { outputs, outputNames } = this.plan;
    const index = typeof output === 'number' ? output : outputNames.indexOf(output);
    const found = outputs[index];
    if (found === undefined) throw this.#noOutput(output);
    if (found.dtype !== 'f32')
      throw new ProgramOutputError(`output '${output}' is ${formatType(found)}: use readBytes()`);
    return new Float32Array(await this.readBytes(index), 0, found.size);
  }

  /** Gives back the program's own memory; variables stay. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const buffer of this.#owned.splice(0)) this.#gpu.destroyBuffer(buffer);
  }
}

/** That a result is of a run that is over, whose memory a later one has. */
export function overwritten(): ProgramOutputError {
  return new ProgramOutputError(
    'a later run has overwritten this result: read what is wanted of a run before the next',
  );
}

/** An input's bytes, filled up to a multiple of 4. @throws ProgramInputError */
function bytesOf(name: string, { shape, dtype }: TensorType, data: HostData | undefined): Uint8Array<ArrayBuffer> {
  const type = formatType({ shape, dtype });
  if (data === undefined) throw new ProgramInputError(`input '${name}' (${type}) is missing`);
  const kind = data[Symbol.toStringTag];
  if (kind !== 'Uint8Array' && !dtypesOf[kind]?.includes(dtype))
    throw new ProgramInputError(`input '${name}' is ${type}, whose values a ${kind} does not hold`);
  const expected = byteLength(dtype, sizeOf(shape));
  if (data.byteLength !== expected)
    throw new ProgramInputError(`input '${name}' is ${type}: ${expected} bytes, not ${data.byteLength}`);
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  if (expected % 4 === 0) return bytes;
  const padded = new Uint8Array(Math.ceil(expected / 4) * 4);
  padded.set(bytes);
  return padded;
}

const pipelineOf = (call: ProgramPlan['calls'][number]): PipelineSpec => ({
  ...call,
  access: call.bindings.map((b) => b.access),
});

async function checkPlan(gpu: Gpu, plan: ProgramPlan): Promise<void> {
  await checkKernels(gpu);
  const { disabledVariants } = gpu.profile;
  const wrong = plan.calls.find(({ variantId }) => variantId !== undefined && disabledVariants?.has(variantId));
  if (wrong !== undefined) throw new DisabledVariantError(wrong.variantId!);
}

function makeSteps(
  gpu: Gpu,
  plan: ProgramPlan,
  compiled: readonly CompiledPipeline[],
  bufferOf: (home: Home) => GPUBuffer,
  make: (bytes: number, label: string, usage?: GPUBufferUsageFlags) => GPUBuffer,
): Dispatch[] {
  const layout = uniformLayout(plan.calls);
  const uniforms = make(layout.bytes, 'uniforms', GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
  const image = new Uint32Array(layout.bytes / 4);
  plan.calls.forEach((call, i) => image.set(call.uniforms, layout.offsets[i]! / 4));
  gpu.device.queue.writeBuffer(uniforms, 0, image);

  const groups = new Map<string, GPUBindGroup>();
  const numbers = new Map<object, number>();
  const numberOf = (object: object) => {
    let n = numbers.get(object);
    if (n === undefined) numbers.set(object, (n = numbers.size));
    return n;
  };
  return plan.calls.map((call, i) => {
    const { pipeline, layout: groupLayout } = compiled[i]!;
    const resources = call.bindings.map(({ buffer, offset, size }) => ({
      buffer: bufferOf(plan.homes.get(buffer)!),
      offset,
      size,
    }));
    const size = Math.max(16, Math.ceil(call.uniforms.byteLength / 16) * 16);
    const key = [
      numberOf(groupLayout),
      layout.offsets[i],
      size,
      ...resources.map((r) => `${numberOf(r.buffer)}:${r.offset}:${r.size}`),
    ].join('|');
    let bindGroup = groups.get(key);
    if (bindGroup === undefined) {
      bindGroup = gpu.createBindGroup({
        layout: groupLayout,
        entries: [
          { binding: 0, resource: { buffer: uniforms, offset: layout.offsets[i]!, size } },
          ...resources.map((resource, b) => ({ binding: b + 1, resource })),
        ],
      });
      groups.set(key, bindGroup);
    }
    return { pipeline, bindGroup, workgroups: call.workgroups };
  });
}
