import type { ParamSpec } from '../families/family.js';

/** A low-rank adaptation of linears (Hu et al. 2021, arXiv:2106.09685). */
export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  /** Scale by alpha / √rank instead of alpha / rank (Kalajdzievski 2023, arXiv:2312.03732). */
  readonly rslora?: boolean;
  /** Learn the length of each row of the weight apart from its direction: DoRA (Liu et al. 2024, arXiv:2402.09353). */
  readonly dora?: boolean;
  /** Rank and alpha of a linear, by its path, where they are others than those above. */
  readonly overrideOf?: (linear: string) => { readonly rank?: number | undefined; readonly alpha?: number | undefined };
  /** Which linears, by their weight. Default: all of every tower. */
  readonly targets?: (linear: ParamSpec) => boolean;
}

/** A linear's low-rank update. */
export interface LoraUpdate {
  readonly rank: number;
  readonly alpha: number;
  /** What the update is multiplied by: alpha / rank, or alpha / √rank. */
  readonly scale: number;
}

/**
 * A parameter of a LoRA beside the linear at `linear`: `layers.0.attn.qProj`. a [rank, in] and b [out, rank]; of a DoRA also magnitude
 * [out] and weightNorm [out], the lengths of the weight's rows, which stay.
 */
export interface LoraSpec {
  readonly linear: string;
  readonly kind: 'a' | 'b' | 'magnitude' | 'weightNorm';
  readonly shape: readonly number[];
}

/** Path of the linear whose weight this is: `layers.0.attn.qProj`. */
export function linearOf({ path }: Pick<ParamSpec, 'path'>): string {
  return path.slice(0, -'.weight'.length);
}

/** The updates of a LoRA by linear, in the order of the model's linears. */
export function loraUpdates(
  params: readonly ParamSpec[],
  { rank, alpha, rslora = false, overrideOf, targets = () => true }: LoraOptions,
): Map<string, LoraUpdate> {
  const linears = params.filter((param) => param.role === 'linear' && targets(param)).map(linearOf);
  return new Map(
    linears.map((linear) => {
      const own = overrideOf?.(linear);
      const update = { rank: own?.rank ?? rank, alpha: own?.alpha ?? alpha };
      return [linear, { ...update, scale: update.alpha / (rslora ? Math.sqrt(update.rank) : update.rank) }];
    }),
  );
}

/** A LoRA's parameters by path (`layers.0.attn.qProj.lora.a`), in the order of the model's linears. */
export function loraSpecs(params: readonly ParamSpec[], options: LoraOptions): Map<string, LoraSpec> {
  const shapes = new Map(params.map((param) => [linearOf(param), param.shape as [number, number]]));
  const specs = new Map<string, LoraSpec>();
  for (const [linear, { rank }] of loraUpdates(params, options)) {
    const [out, input] = shapes.get(linear)!;
    const add = (kind: LoraSpec['kind'], shape: readonly number[]) =>
      specs.set(`${linear}.lora.${kind}`, { linear, kind, shape });
    add('a', [rank, input]);
    add('b', [out, rank]);
    if (options.dora) for (const kind of ['magnitude', 'weightNorm'] as const) add(kind, [out]);
  }
  return specs;
}

/**
 * Starting values as PEFT's: a uniform in ±1/√in (Kaiming with a = √5), b zero, a magnitude what its weight's rows have (`weightNorm`, f32
 * [out], which only DoRAs are asked for), so that the model begins unchanged. `random` gives numbers in [0, 1).
 */
export function initialLora(
  { kind, shape }: LoraSpec,
  random: () => number,
  weightNorm: () => Float32Array,
): Float32Array {
  if (kind === 'magnitude' || kind === 'weightNorm') return weightNorm();
  const values = new Float32Array(shape[0]! * shape[1]!);
  if (kind === 'a') {
    const bound = 1 / Math.sqrt(shape[1]!);
    for (let i = 0; i < values.length; i++) values[i] = (random() * 2 - 1) * bound;
  }
  return values;
}
