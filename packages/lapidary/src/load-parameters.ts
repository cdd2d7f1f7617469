import { paramTree, planVariables, type Model, type ParamPlan, type ParamTree } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { doraRowScale, evaluate, variableFrom, type Variable } from '@lapidary/tensor';
import {
  baseWeightsOf,
  createDeviceSink,
  fingerprintWeights,
  finiteSink,
  quantisedTypes,
  quantisingSink,
  type QuantizeType,
  RowNorms,
  rowNormSink,
} from '@lapidary/trainer';
import type { BaseWeights, OpenedWeights, PeftAdapter } from '@lapidary/weights';

/** How parameters are loaded. */
export interface LoadParametersOptions {
  /** Each goes over the base: updates of linears, and parameters in place of the base's. */
  readonly adapters?: readonly PeftAdapter[];
  /** Whether the base is wanted by itself too. Default: where there is no adapter. */
  readonly keepsBase?: boolean | undefined;
  /** What the base's matrices become while they are read, those of adapters aside. Default: as stored. */
  readonly quantize?: QuantizeType | null | undefined;
  readonly onProgress?: ((progress: { readonly bytes: number; readonly totalBytes: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Trees of a model's parameters, which share the base's. */
export interface LoadedParameters {
  /** Undefined where it is not kept: it may lack what adapters have in its place. */
  readonly base: ParamTree | undefined;
  /** In the order of the adapters. */
  readonly adapted: readonly ParamTree[];
  /** What was read of the base, where an adapter says over what it was trained. */
  readonly baseWeights: BaseWeights | undefined;
}

/**
 * Fills `variables` with a model's parameters on the device, once and as stored or quantised, and those of adapters, f32. @throws what the
 * files throw; ConfigError for what cannot be quantised; what is in
 * `variables` by then stays there
 */
export async function loadParameters(
  gpu: Gpu,
  weights: OpenedWeights,
  variables: Map<string, Variable>,
  { adapters = [], keepsBase = adapters.length === 0, quantize = null, onProgress, signal }: LoadParametersOptions = {},
): Promise<LoadedParameters> {
  const { params } = weights.model;
  const overlays = adapters.map((adapter, i) => new Overlay(adapter, weights.model, `adapter ${i + 1}: `));
  // All of the model: what the files lack is then named by the load.
  const used = params.filter(
    ({ path, isOnHost }) => !isOnHost && (keepsBase || overlays.some((overlay) => overlay.placeOf(path) !== undefined)),
  );
  const storedOf = (path: string) => weights.entries.get(path)?.dtype ?? 'f32';
  const quantised = quantisedTypes(weights.model, { quantize, storedOf });
  const base = used.map(({ path, shape }) => {
    return [path, { shape, dtype: storedOf(path) }] as const;
  });
  const plans = new Map<string, ParamPlan>();
  for (const [path, { shape, dtype }] of base)
    plans.set(path, { shape, dtype: quantised.get(path) ?? dtype, category: 'weights' });
  for (const overlay of overlays)
    for (const [path, shape] of overlay.shapes())
      plans.set(overlay.prefix + path, { shape, dtype: 'f32', category: 'weights' });
  for (const [path, variable] of planVariables(plans)) variables.set(path, variable.allocate(gpu));
  const dtypeOf = (path: string) => variables.get(path)!.type.dtype;
  const shapes = new Map(params.map(({ path, shape }) => [path, shape] as const));
  const doras = new Set(
    overlays.flatMap(({ magnitudes }) => [...magnitudes.keys()].map((linear) => `${linear}.weight`)),
  );
  const norms = new RowNorms(new Map([...doras].map((path) => [path, shapes.get(path)!])));
  const places = new Map(base.map(([path]) => [path, variables.get(path)!]));
  const { entries } = weights;
  const kept = rowNormSink(norms, dtypeOf, createDeviceSink(gpu, places));
  const toDevice = finiteSink(entries, storedOf, quantisingSink({ entries, storedOf, keptOf: dtypeOf }, kept));
  const hashing = adapters.some((adapter) => adapter.baseWeights) ? fingerprintWeights(toDevice) : undefined;
  const sink = hashing ?? toDevice;
  await weights.load(new Map(base), sink, {
    allowUnused: /^/,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  await hashing?.sample(weights.hostRows);
  const adapted: ParamTree[] = [];
  for (const overlay of overlays) {
    const own = overlay.over(variables);
    for (const [path, values] of overlay.values) own.get(path)!.write(values);
    if (overlay.magnitudes.size > 0) await scaleRows(gpu, own, overlay, norms);
    adapted.push(paramTree(own, overlay.adapter.updates));
  }
  const typeOf = (path: string) => (path === weights.hostRows?.path ? weights.hostRows.dtype : storedOf(path));
  const baseWeights = hashing && baseWeightsOf({ format: weights.format, hashes: hashing.hashes(), dtypeOf: typeOf });
  return { base: keepsBase ? paramTree(places) : undefined, adapted, baseWeights };
}

/** An adapter's parameters, over those of its base. */
class Overlay {
  readonly adapter: PeftAdapter;
  /** Before the paths of its parameters, among those of others. */
  readonly prefix: string;
  /** What is written, by path: parameters in place of the base's, halves of updates. */
  readonly values: ReadonlyMap<string, Float32Array>;
  /** Of a DoRA's linears. */
  readonly magnitudes: ReadonlyMap<string, Float32Array>;
  readonly #model: Model;

  constructor(adapter: PeftAdapter, model: Model, prefix: string) {
    this.adapter = adapter;
    this.prefix = prefix;
    this.values = new Map([...adapter.params, ...halvesOf(adapter)]);
    this.magnitudes = new Map(
      [...adapter.updates.keys()].flatMap((linear) => {
        const magnitude = adapter.tensors.get(`${linear}.lora.magnitude`);
        return magnitude ? [[linear, magnitude] as const] : [];
      }),
    );
    this.#model = model;
  }

  /** Where a parameter of the base goes; undefined where the adapter has another. */
  placeOf(path: string): string | undefined {
    const { params, splitsEmbedding } = this.adapter;
    if (!params.has(path)) return path;
    const { embeddingPath, headPath } = this.#model;
    const isHead = path === embeddingPath && splitsEmbedding && headPath !== undefined && !params.has(headPath);
    return isHead ? headPath : undefined;
  }

  /** Shapes of its own parameters by path. */
  shapes(): Map<string, readonly number[]> {
    const { params, embeddingPath, headPath } = this.#model;
    const shapeOf = (path: string) => params.find((param) => param.path === path)?.shape;
    const shapes = new Map<string, readonly number[]>();
    for (const [path, values] of this.values)
      shapes.set(path, shapeOf(path === headPath ? embeddingPath : path) ?? shapeOfHalf(path, values, this.adapter));
    for (const [linear, { length }] of this.magnitudes) shapes.set(`${linear}.lora.rowScale`, [length]);
    return shapes;
  }

  /** All parameters of the model on the device with this adapter, by path. */
  over(variables: ReadonlyMap<string, Variable>): Map<string, Variable> {
    const all = new Map<string, Variable>();
    for (const { path, isOnHost } of this.#model.params) {
      const place = isOnHost ? undefined : this.placeOf(path);
      if (place !== undefined) all.set(place, variables.get(path)!);
    }
    for (const path of this.shapes().keys()) all.set(path, variables.get(this.prefix + path)!);
    return all;
  }
}

/** Writes what a DoRA multiplies the outputs of its linears by: it does not change any more. */
async function scaleRows(
  gpu: Gpu,
  variables: ReadonlyMap<string, Variable>,
  { adapter: { updates }, magnitudes }: Overlay,
  norms: RowNorms,
): Promise<void> {
  const used = [...magnitudes].map(([linear, magnitude]) => {
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
