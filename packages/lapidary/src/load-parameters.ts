import { planVariables, type ParamPlan } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { doraRowScale, evaluate, variableFrom, type Variable } from '@lapidary/tensor';
import { createDeviceSink, finiteSink, RowNorms, rowNormSink } from '@lapidary/trainer';
import type { OpenedWeights, PeftAdapter } from '@lapidary/weights';

/** How parameters are loaded. */
export interface LoadParametersOptions {
  /** Goes over them: updates of linears, and parameters in place of the base's. */
  readonly adapter?: PeftAdapter | undefined;
  readonly onProgress?: ((progress: { readonly bytes: number; readonly totalBytes: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fills `variables` with a model's parameters, as stored, and an adapter's, f32: `paramTree(variables, adapter.updates)` makes the model's
 * tree of them. @throws what the files throw; what is in `variables` by then stays there
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
  const added = new Map([...own, ...(adapter ? halvesOf(adapter) : [])]);
  for (const [path, values] of added) {
    const shape = shapes.get(path === headPath ? embeddingPath : path) ?? shapeOfHalf(path, values, adapter!);
    plans.set(path, { shape, dtype: 'f32', category: 'weights' });
  }
  const doras = [...(adapter?.updates.keys() ?? [])].flatMap((linear) => {
    const magnitude = adapter?.tensors.get(`${linear}.lora.magnitude`);
    return magnitude ? [[linear, magnitude] as const] : [];
  });
  for (const [linear, { length }] of doras)
    plans.set(`${linear}.lora.rowScale`, { shape: [length], dtype: 'f32', category: 'weights' });
  for (const [path, variable] of planVariables(plans)) variables.set(path, variable.allocate(gpu));
  const places = new Map(base.map(([path]) => [path, variables.get(placeOf(path)!)!]));
  const dtypeOf = (path: string) => places.get(path)!.type.dtype;
  const norms = new RowNorms(new Map(doras.map(([linear]) => [`${linear}.weight`, shapes.get(`${linear}.weight`)!])));
  const sink = rowNormSink(norms, dtypeOf, finiteSink(weights.entries, dtypeOf, createDeviceSink(gpu, places)));
  await weights.load(new Map(base), sink, {
    allowUnused: /^/,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  for (const [path, values] of added) variables.get(path)!.write(values);
  if (doras.length > 0) await scaleRows(gpu, variables, adapter!.updates, doras, norms);
}

/** Writes what a DoRA multiplies the outputs of its linears by: it does not change any more. */
async function scaleRows(
  gpu: Gpu,
  variables: ReadonlyMap<string, Variable>,
  updates: PeftAdapter['updates'],
  doras: readonly (readonly [linear: string, magnitude: Float32Array])[],
  norms: RowNorms,
): Promise<void> {
  const used = doras.map(([linear, magnitude]) => {
    const vector = (values: Float32Array) => variableFrom(gpu, values, [values.length]);
    return { linear, magnitude: vector(magnitude), weightNorm: vector(norms.of(`${linear}.weight`)) };
  });
  try {
    const tensor = (path: string) => variables.get(path)!.tensor;
    const scales = used.map(({ linear, magnitude, weightNorm }) =>
      doraRowScale(tensor(`${linear}.weight`), {
        a: tensor(`${linear}.lora.a`),
        b: tensor(`${linear}.lora.b`),
        scale: updates.get(linear)!.scale,
        magnitude: magnitude.tensor,
        weightNorm: weightNorm.tensor,
      }),
    );
    const values = await evaluate(gpu, scales);
    for (const [i, { linear }] of used.entries()) variables.get(`${linear}.lora.rowScale`)!.write(values[i]!);
  } finally {
    for (const { magnitude, weightNorm } of used) for (const variable of [magnitude, weightNorm]) variable.destroy();
  }
}

/** Tensors beside linears, by path. */
function halvesOf({ updates, tensors }: PeftAdapter): [string, Float32Array][] {
  return [...updates.keys()].flatMap((linear) =>
    ['a', 'b'].map((kind): [string, Float32Array] => {
      const path = `${linear}.lora.${kind}`;
      return [path, tensors.get(path)!];
    }),
  );
}

function shapeOfHalf(path: string, { length }: Float32Array, { updates }: PeftAdapter): number[] {
  const [, linear = '', kind] = /^(.+)\.lora\.(\w)$/.exec(path) ?? [];
  const { rank } = updates.get(linear)!;
  return kind === 'a' ? [rank, length / rank] : [length / rank, rank];
}
