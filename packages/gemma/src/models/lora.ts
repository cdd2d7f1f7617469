import type { ParamSpec } from '../families/family.js';

/** A low-rank adaptation of linears (Hu et al. 2021, arXiv:2106.09685). */
export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  /** Scale by alpha / √rank instead of alpha / rank (Kalajdzievski 2023, arXiv:2312.03732). */
  readonly rslora?: boolean;
  /** Which linears, by their weight. Default: all of every tower. */
  readonly targets?: (linear: ParamSpec) => boolean;
}

/** A parameter of a LoRA: `kind` a [rank, in] or b [out, rank] beside the linear at `linear`: `layers.0.attn.qProj`. */
export interface LoraSpec {
  readonly linear: string;
  readonly kind: 'a' | 'b';
  readonly shape: readonly number[];
}

/** What low-rank updates are multiplied by. */
export function loraScale({ rank, alpha, rslora = false }: LoraOptions): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

/** Path of the linear whose weight this is: `layers.0.attn.qProj`. */
export function linearOf({ path }: Pick<ParamSpec, 'path'>): string {
  return path.slice(0, -'.weight'.length);
}

/** A LoRA's parameters by path (`layers.0.attn.qProj.lora.a`), in the order of the model's linears. */
export function loraSpecs(
  params: readonly ParamSpec[],
  { rank, targets = () => true }: LoraOptions,
): Map<string, LoraSpec> {
  const specs = new Map<string, LoraSpec>();
  for (const param of params) {
    if (param.role !== 'linear' || !targets(param)) continue;
    const linear = linearOf(param);
    const [out, input] = param.shape as [number, number];
    specs.set(`${linear}.lora.a`, { linear, kind: 'a', shape: [rank, input] });
    specs.set(`${linear}.lora.b`, { linear, kind: 'b', shape: [out, rank] });
  }
  return specs;
}

/**
 * Starting values as PEFT's: a uniform in ±1/√in (Kaiming with a = √5), b zero, so that the model begins unchanged.
 * `random` gives numbers in [0, 1).
 */
export function initialLora({ kind, shape }: LoraSpec, random: () => number): Float32Array {
  const values = new Float32Array(shape[0]! * shape[1]!);
  if (kind === 'a') {
    const bound = 1 / Math.sqrt(shape[1]!);
    for (let i = 0; i < values.length; i++) values[i] = (random() * 2 - 1) * bound;
  }
  return values;
}
