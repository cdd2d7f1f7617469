import { createRandom, initialLora, initialParam, type LoraSpec } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import type { Variable } from '@lapidary/tensor';
import {
  encodeFloats,
  type BaseWeights,
  type LoadReport,
  type OpenedWeights,
  type WeightSink,
} from '@lapidary/weights';
import { createPathFilter } from '../../config/path-patterns.js';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { createDeviceSink } from '../device-sink.js';
import type { ModelPlan } from '../prepare/plan-model.js';
import { keptOf } from '../prepare/programs.js';
import type { StartAdapter } from '../prepare/start-adapter.js';
import { baseWeightsOf } from '../base-weights.js';
import { fingerprintWeights } from '../fingerprint.js';
import { finiteSink } from '../finite-sink.js';
import { quantisingSink } from '../quantising-sink.js';
import { RowNorms, rowNormSink } from '../row-norms.js';

export interface LoadModelOptions {
  /** What adapters begin with, in place of a LoRA that changes nothing. */
  readonly start?: StartAdapter | null;
  /** Loading ends with the error of one that fails. */
  readonly onProgress?: (done: number, total: number) => void | Promise<void>;
  readonly signal?: AbortSignal;
  /** Goes on meanwhile, and is not waited for; where it fails, loading ends with its error. */
  readonly compiling?: Promise<unknown>;
}

/** Allocates every variable, streams the weights in, and gives adapters and averages their starting values. */
export async function loadModel(
  gpu: Gpu,
  weights: OpenedWeights,
  plan: ModelPlan,
  { seed, allowMissing }: Pick<ResolvedTrainConfig, 'seed' | 'allowMissing'>,
  { start = null, onProgress, signal, compiling }: LoadModelOptions = {},
): Promise<LoadReport & { readonly fingerprint: string; readonly base: BaseWeights }> {
  const stop = new AbortController();
  compiling?.catch((error: unknown) => stop.abort(error));
  for (const variable of [...plan.variables.values(), ...plan.step.trained.flatMap(keptOf)]) variable.allocate(gpu);
  // A device without the memory says so here, before a byte of weights is fetched.
  await gpu.idle();
  const norms = rowNormsOf(plan);
  const storedOf = (path: string) => plan.base.get(path)!.dtype;
  const toDevice = baseSink(plan, norms, weights.entries, createDeviceSink(gpu, plan.variables));
  const sink = fingerprintWeights({
    ...finiteSink(weights.entries, storedOf, toDevice),
    initialise: (path, { shape, dtype }, firstRow) => {
      const rows = [(shape[0] ?? 1) - firstRow, ...shape.slice(1)];
      const values = initialParam(plan.base.get(path)!.spec, rows, createRandom(seedOf(seed, path)));
      const rowBytes = byteLength(
        dtype,
        shape.slice(1).reduce((a, b) => a * b, 1),
      );
      return toDevice.write(path, firstRow * rowBytes, encodeFloats(values, dtype));
    },
  });
  const loading = weights.load(plan.base, sink, {
    ...(allowMissing.length > 0 && { allowMissing: createPathFilter(allowMissing) }),
    ...(onProgress && {
      onProgress: ({ bytes, totalBytes }) => {
        Promise.resolve(onProgress(bytes, totalBytes)).catch((error: unknown) => stop.abort(error));
      },
    }),
    signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  });
  const report = await loading.catch((error: unknown) => {
    throw stop.signal.aborted ? stop.signal.reason : error;
  });
  await sink.sample(weights.hostRows);
  for (const [path, spec] of plan.lora) {
    const weightNorm = () => norms.of(`${spec.linear}.weight`);
    plan.variables.get(path)!.write(start?.values.get(path) ?? firstLora(path, spec, seed, weightNorm));
  }
  for (const path of plan.saved) {
    const values = start?.values.get(path);
    if (values) plan.variables.get(path)!.write(values);
  }
  for (const { param, average } of plan.step.trained) if (average) copyVariable(gpu, param, average);
  await gpu.idle();
  const isReplaced = (path: string) => plan.saved.includes(path) || plan.base.get(path)?.category === 'trainable';
  const typeOf = (path: string) => (path === weights.hostRows?.path ? weights.hostRows.dtype : storedOf(path));
  const base = baseWeightsOf({ format: weights.format, hashes: sink.hashes(), dtypeOf: typeOf, isReplaced });
  return { ...report, fingerprint: sink.fingerprint(), base };
}

/** Takes a base as it is read: what is kept in blocks becomes it here. Lengths of rows are of what is kept. */
export function baseSink(
  { base, variables }: ModelPlan,
  norms: RowNorms,
  entries: OpenedWeights['entries'],
  sink: WeightSink,
): WeightSink {
  const keptOf = (path: string) => variables.get(path)!.type.dtype;
  const storedOf = (path: string) => base.get(path)!.dtype;
  return quantisingSink({ entries, storedOf, keptOf }, rowNormSink(norms, keptOf, sink));
}

/** Of the weights whose rows' lengths an adapter begins with; they have still to come. */
export function rowNormsOf({ base, lora }: ModelPlan): RowNorms {
  const linears = [...lora.values()].flatMap(({ linear, kind }) => (kind === 'weightNorm' ? `${linear}.weight` : []));
  return new RowNorms(new Map(linears.map((path) => [path, base.get(path)!.shape])));
}

/** What an adapter's tensor begins as in a run of this seed; `weightNorm` are the lengths of the rows of its linear's weight. */
export function firstLora(path: string, spec: LoraSpec, seed: number, weightNorm: () => Float32Array): Float32Array {
  return initialLora(spec, createRandom(seedOf(seed, path)), weightNorm);
}

function copyVariable(gpu: Gpu, from: Variable, to: Variable): void {
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(from.buffer, 0, to.buffer, 0, from.buffer.size);
  gpu.submit([encoder.finish()]);
}

/** A seed of its own for every path, whatever else is initialised. */
function seedOf(seed: number, path: string): number {
  return fnv1a(
    [...path].map((character) => character.charCodeAt(0)),
    0x811c9dc5 ^ seed,
  );
}

/** http://www.isthe.com/chongo/tech/comp/fnv/ */
function fnv1a(bytes: Iterable<number>, start: number): number {
  let hash = start;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
