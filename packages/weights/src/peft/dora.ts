import type { OpenedWeights, WeightTarget } from '../loader/types.js';
import type { PeftAdapter } from './read.js';

/**
 * What a DoRA multiplies each output of its linears by, f32 [out] by linear (`layers.0.attn.qProj`): the magnitude that was trained, over
 * the length of the row of W + scale · b·a. Reads the weights of these linears, a row in memory at a time. Empty for a LoRA.
 * Source: Liu et al. 2024, arXiv:2402.09353.
 * @throws what `OpenedWeights.load` does; AbortError by the signal.
 */
export async function doraRowScales(
  weights: Pick<OpenedWeights, 'entries' | 'load'>,
  { updates, tensors }: Pick<PeftAdapter, 'updates' | 'tensors'>,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<Map<string, Float32Array>> {
  const scales = new Map<string, Float32Array>();
  const targets = new Map<string, WeightTarget>();
  const lengths = new Map<string, RowLengths>();
  for (const [linear, { rank, scale }] of updates) {
    const magnitude = tensors.get(`${linear}.lora.magnitude`);
    const entry = weights.entries.get(`${linear}.weight`);
    if (magnitude === undefined || entry === undefined) continue;
    scales.set(linear, magnitude.slice());
    targets.set(`${linear}.weight`, { shape: entry.shape, dtype: 'f32' });
    const factor = (kind: 'a' | 'b') => tensors.get(`${linear}.lora.${kind}`) ?? new Float32Array();
    lengths.set(`${linear}.weight`, new RowLengths({ a: factor('a'), b: factor('b'), rank, scale }));
  }
  if (targets.size === 0) return scales;
  const sink = {
    write: (path: string, offset: number, bytes: Uint8Array) => lengths.get(path)?.push(offset / 4, bytes),
  };
  await weights.load(targets, sink, { allowUnused: /^/, ...(signal && { signal }) });
  for (const [linear, values] of scales) {
    const rows = lengths.get(`${linear}.weight`)?.values ?? [];
    for (let i = 0; i < values.length; i++) values[i] = values[i]! / Math.sqrt(rows[i]!);
  }
  return scales;
}

interface Update {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly rank: number;
  readonly scale: number;
}

/** Squared lengths of the rows of W + scale · b·a, as the values of W come. */
class RowLengths {
  readonly values: Float64Array;
  readonly #update: Update;
  readonly #size: number;
  /** The row of scale · b·a that the next value is of. */
  readonly #row: Float64Array;
  #rowIndex = -1;

  constructor(update: Update) {
    this.#update = update;
    this.#size = update.a.length / update.rank;
    this.values = new Float64Array(update.b.length / update.rank);
    this.#row = new Float64Array(this.#size);
  }

  /** Takes little-endian f32 values of W, from the value `first` on. */
  push(first: number, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let [row, column] = [Math.floor(first / this.#size), first % this.#size];
    for (let at = 0; at < bytes.byteLength; at += 4) {
      if (row !== this.#rowIndex) this.#turnTo(row);
      const value = view.getFloat32(at, true) + this.#row[column]!;
      this.values[row]! += value * value;
      if (++column < this.#size) continue;
      column = 0;
      row++;
    }
  }

  #turnTo(row: number): void {
    const { a, b, rank, scale } = this.#update;
    this.#rowIndex = row;
    this.#row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * b[row * rank + r]!;
      for (let j = 0; j < this.#size; j++) this.#row[j]! += factor * a[r * this.#size + j]!;
    }
  }
}
