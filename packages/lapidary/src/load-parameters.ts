import { planVariables, type ParamPlan } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { createDeviceSink, finiteSink } from '@lapidary/trainer';
import { doraRowScales, type OpenedWeights, type PeftAdapter } from '@lapidary/weights';

/** How parameters are loaded. */
export interface LoadParametersOptions {
  /** Goes over them: updates of linears, and parameters in place of the base's. */
  readonly adapter?: PeftAdapter | undefined;
  readonly onProgress?: ((progress: { readonly bytes: number; readonly totalBytes: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fills `variables` with a model's parameters, as stored, and an adapter's, f32. Updates of linears come with their scale in `b`: they are
 * to be run with a `loraScale` of 1. @throws what the files throw; what is in `variables` by then stays there
 */
export async function loadParameters(
  gpu: Gpu,
  weights: OpenedWeights,
  variables: Map<string, Variable>,
  { adapter, onProgress, signal }: LoadParametersOptions = {},
): Promise<void> {
  const own = adapter?.params ?? new Map<string, Float32Array>();
  const { params, embeddingPath, headPath } = weights.model;
  const shapes = new Map(params.map(({ path, shape }) => [path, shape] as const));
  /** Where a parameter of the base goes; undefined where the adapter has another. */
  const placeOf = (path: string) => {
    if (!own.has(path)) return path;
    const isHead = path === embeddingPath && adapter?.splitsEmbedding && headPath !== undefined && !own.has(headPath);
    return isHead ? headPath : undefined;
  };
  // All of the model: what the files lack is then named by the load.
  const base = params
    .filter(({ path }) => placeOf(path) !== undefined)
    .map(({ path, shape }) => [path, { shape, dtype: weights.entries.get(path)?.dtype ?? 'f32' }] as const);
  const plans = new Map<string, ParamPlan>();
  for (const [path, { shape, dtype }] of base) plans.set(placeOf(path)!, { shape, dtype, category: 'weights' });
  const added = new Map([...own, ...(adapter ? await updatesOf(weights, adapter, signal) : [])]);
  for (const [path, values] of added) {
    const shape = shapes.get(path === headPath ? embeddingPath : path) ?? shapeOfUpdate(path, values, adapter!);
    plans.set(path, { shape, dtype: 'f32', category: 'weights' });
  }
  for (const [path, variable] of planVariables(plans)) variables.set(path, variable.allocate(gpu));
  const places = new Map(base.map(([path]) => [path, variables.get(placeOf(path)!)!]));
  const dtypeOf = (path: string) => places.get(path)!.type.dtype;
  const sink = finiteSink(weights.entries, dtypeOf, createDeviceSink(gpu, places));
  await weights.load(new Map(base), sink, {
    allowUnused: /^/,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  for (const [path, values] of added) variables.get(path)!.write(values);
}

/** Tensors beside linears, by path. */
async function updatesOf(
  weights: OpenedWeights,
  adapter: PeftAdapter,
  signal: AbortSignal | undefined,
): Promise<[string, Float32Array][]> {
  const rowScales = await doraRowScales(weights, adapter, { ...(signal && { signal }) });
  return [...adapter.updates].flatMap(([linear, { scale }]) => {
    const tensor = (kind: 'a' | 'b') => adapter.tensors.get(`${linear}.lora.${kind}`)!;
    const rowScale = rowScales.get(linear);
    return [
      [`${linear}.lora.a`, tensor('a')],
      [`${linear}.lora.b`, tensor('b').map((value) => value * scale)],
      ...(rowScale ? [[`${linear}.lora.rowScale`, rowScale] as [string, Float32Array]] : []),
    ];
  });
}

function shapeOfUpdate(path: string, { length }: Float32Array, { updates }: PeftAdapter): number[] {
  const [, linear = '', kind] = /^(.+)\.lora\.(\w+)$/.exec(path) ?? [];
  const rank = updates.get(linear)?.rank ?? 1;
  return kind === 'a' ? [rank, length / rank] : kind === 'b' ? [length / rank, rank] : [length];
}
