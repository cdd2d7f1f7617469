import type { LoraUpdate } from '@lapidary/gemma/model';
import { encodeFloats } from '../dtype/convert.js';
import { dequantise, tensorBytes } from '../dtype/dequantise.js';
import { wholeUnits } from '../dtype/whole-units.js';
import { AdapterError } from '../errors.js';
import type { OpenedWeights } from '../loader/types.js';
import type { TensorData } from '../safetensors/write.js';
import type { PeftAdapter } from './read.js';

/** What of an adapter a model is merged with. */
export type MergedAdapter = Pick<PeftAdapter, 'updates' | 'tensors' | 'params' | 'splitsEmbedding'>;

/** A row without a length has no direction. As in training. */
const leastSquare = 1e-30;

/**
 * Every parameter of a model with an adapter in it, by path, read and computed piece by piece when its bytes are asked for: f32 where the
 * adapter changes it (W + scale · b·a; of a DoRA with rows of the adapter's lengths), else as stored.
 * @throws {AdapterError} for an adapter that no one model is like
 */
export function mergedTensors(
  weights: Pick<OpenedWeights, 'model' | 'entries' | 'read'>,
  { updates, tensors, params, splitsEmbedding }: MergedAdapter,
): Map<string, TensorData> {
  if (splitsEmbedding)
    throw new AdapterError(
      'adapter_model.safetensors',
      'the table of words and the output projection were trained apart, but the model has one table for both: it cannot be merged.',
    );
  const { model, entries, read } = weights;
  const merged = new Map<string, TensorData>();
  for (const { path, shape } of model.params) {
    const whole = params.get(path);
    const linear = path.replace(/\.weight$/, '');
    const update = updates.get(linear);
    const stored = whole && { dtype: 'f32' as const, shape, bytes: () => [encodeFloats(whole, 'f32')] };
    const base = stored ?? storedTensor(path, shape);
    if (update === undefined) {
      merged.set(path, base);
      continue;
    }
    const of = (kind: string) => tensors.get(`${linear}.lora.${kind}`);
    const rows = new UpdatedRows(shape as [number, number], update, of('a')!, of('b')!, of('magnitude'));
    merged.set(path, { dtype: 'f32', shape, bytes: () => rows.of(base) });
  }
  return merged;

  function storedTensor(path: string, shape: readonly number[]): TensorData {
    const dtype = entries.get(path)?.dtype ?? 'f32';
    return { dtype, shape, bytes: () => read(path, dtype) };
  }
}

/** A matrix with a low-rank update, row by row. */
class UpdatedRows {
  readonly #out: number;
  readonly #in: number;
  readonly #update: LoraUpdate;
  readonly #a: Float32Array;
  readonly #b: Float32Array;
  readonly #magnitude: Float32Array | undefined;

  constructor(
    [out, input]: readonly [number, number],
    update: LoraUpdate,
    a: Float32Array,
    b: Float32Array,
    magnitude: Float32Array | undefined,
  ) {
    this.#out = out;
    this.#in = input;
    this.#update = update;
    this.#a = a;
    this.#b = b;
    this.#magnitude = magnitude;
  }

  async *of({ dtype, bytes }: TensorData): AsyncGenerator<Uint8Array> {
    const pieces = bytes instanceof Uint8Array ? [bytes] : bytes();
    const rowBytes = tensorBytes(dtype, [this.#in]) as number;
    let row = 0;
    for await (const piece of wholeUnits(pieces, rowBytes)) {
      const values = dequantise(dtype, piece);
      for (let at = 0; at < values.length; at += this.#in) this.#add(values.subarray(at, at + this.#in), row++);
      yield encodeFloats(values, 'f32');
    }
    if (row !== this.#out) throw new RangeError(`${row} rows of ${this.#out}`);
  }

  #add(values: Float32Array, row: number): void {
    const { rank, scale } = this.#update;
    const [a, size] = [this.#a, this.#in];
    const sums = Float64Array.from(values);
    for (let k = 0; k < rank; k++) {
      const factor = scale * this.#b[row * rank + k]!;
      if (factor === 0) continue;
      const from = k * size;
      for (let i = 0; i < size; i++) sums[i]! += factor * a[from + i]!;
    }
    const magnitude = this.#magnitude?.[row];
    if (magnitude !== undefined) {
      let square = 0;
      for (const value of sums) square += value * value;
      const stretch = magnitude / Math.sqrt(Math.max(square, leastSquare));
      for (let i = 0; i < size; i++) sums[i]! *= stretch;
    }
    values.set(sums);
  }
}
