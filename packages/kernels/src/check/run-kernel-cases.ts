import { describeAdapter, DeviceLostError, type Gpu } from '@lapidary/gpu';
import type { KernelCall } from '../kernel-call.js';
import { readBuffer, runKernels } from '../run-kernels.js';
import { KernelCheckError, type DisabledVariant, type KernelCheck } from './check-kernels.js';
import type { Expectation, KernelCase } from './kernel-cases.js';
import { Scratch } from './scratch.js';

export { kernelCases } from './kernel-cases.js';

/** The self-test itself, of some cases and not remembered: what `checkKernels` loads when it runs. */
export async function runKernelCases(
  gpu: Gpu,
  cases: readonly KernelCase[],
  notice: (message: string) => void,
): Promise<KernelCheck> {
  gpu.check();
  const prepared = new Map<KernelCase, Prepared>();
  try {
    for (const one of cases) prepared.set(one, prepare(gpu, one));
    await compileAhead(gpu, [...prepared.values()]);
    const passed: { kernel: string; variants: readonly string[] }[] = [];
    const disabled: DisabledVariant[] = [];
    for (const [kernel, own] of byKernel(cases)) {
      let failure: Failure | undefined;
      // After a variant is gone every case of the kernel runs again: what was right with it may be wrong with the next.
      while ((failure = await firstFailure(gpu, own, prepared)) !== undefined) {
        const { what, difference } = failure;
        const adapter = describeAdapter(gpu.profile.adapter);
        const ids = [...variantIds(failure.calls)].filter((id) => !gpu.profile.disabledVariants?.has(id));
        if (ids.length === 0) throw new KernelCheckError({ kernel, what, adapter, difference });
        gpu.disableVariants(ids);
        for (const variantId of ids) {
          const message = `${variantId} (${what}) fails its self-test on ${adapter} and is not used there: ${difference}`;
          disabled.push({ variantId, difference, message });
          notice(message);
        }
        for (const one of own) {
          prepared.get(one)!.scratch.destroy();
          prepared.set(one, prepare(gpu, one));
        }
      }
      const variants = own.flatMap((one) => prepared.get(one)!.calls.map(({ variant }) => variant));
      passed.push({ kernel, variants: [...new Set(variants)] });
    }
    return { ran: true, passed, disabled };
  } finally {
    for (const { scratch } of prepared.values()) scratch.destroy();
  }
}

/** A case with its operands on the device, and the calls that the device's profile gets at this time. */
interface Prepared {
  readonly scratch: Scratch;
  readonly calls: readonly KernelCall<GPUBuffer>[];
  readonly expected: readonly Expectation[];
}

function prepare(gpu: Gpu, { make }: KernelCase): Prepared {
  const scratch = new Scratch(gpu);
  try {
    return { scratch, ...make(scratch, gpu.profile) };
  } catch (error) {
    scratch.destroy();
    throw error;
  }
}

function byKernel(cases: readonly KernelCase[]): Map<string, KernelCase[]> {
  const groups = new Map<string, KernelCase[]>();
  for (const one of cases) groups.set(one.kernel, [...(groups.get(one.kernel) ?? []), one]);
  return groups;
}

const variantIds = (calls: readonly KernelCall<GPUBuffer>[]) =>
  new Set(calls.flatMap(({ variantId }) => (variantId === undefined ? [] : [variantId])));

/** Starts all compilations at once: a driver compiles on several cores. Their errors come again where they are looked at. */
async function compileAhead(gpu: Gpu, prepared: readonly Prepared[]): Promise<void> {
  const calls = prepared.flatMap((one) => one.calls);
  await Promise.allSettled(
    calls.map((call) => gpu.pipelines.get({ ...call, access: call.bindings.map((b) => b.access) })),
  );
}

interface Failure {
  readonly what: string;
  readonly calls: readonly KernelCall<GPUBuffer>[];
  readonly difference: string;
}

async function firstFailure(
  gpu: Gpu,
  cases: readonly KernelCase[],
  prepared: ReadonlyMap<KernelCase, Prepared>,
): Promise<Failure | undefined> {
  for (const one of cases) {
    const { calls, expected } = prepared.get(one)!;
    try {
      await runKernels(gpu, calls);
      for (const expectation of expected) {
        const difference = await compare(gpu, expectation);
        if (difference !== undefined) return { what: one.what, calls, difference };
      }
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      return { what: one.what, calls, difference: String((error as Error).message ?? error) };
    }
  }
  return undefined;
}

/** The first sign that an operand does not hold what it should. */
async function compare(gpu: Gpu, { name, operand, values, tolerance }: Expectation): Promise<string | undefined> {
  const bytes = await readBuffer(gpu, operand.buffer);
  const found = operand.dtype === 'bf16' ? new Uint16Array(bytes) : new Float32Array(bytes);
  let scale = 0;
  for (let i = 0; i < values.length; i++) scale = Math.max(scale, Math.abs(values[i]!));
  const allowed = tolerance * scale;
  for (let i = 0; i < values.length; i++) {
    // Written so that a NaN is a difference.
    if (!(Math.abs(found[i]! - values[i]!) <= allowed)) return `${name}[${i}] is ${found[i]}, should be ${values[i]}`;
  }
  return undefined;
}
