import { dtypeInfo, type DType } from '@lapidary/kernels';
import { dequantise, type WeightSink } from '@lapidary/weights';

/** Takes lengths of rows of matrices whose values come in pieces. */
export class RowNorms {
  readonly #squares = new Map<string, Float64Array>();
  readonly #shapes: ReadonlyMap<string, readonly number[]>;

  /** @param shapes [out, in] of the matrices, by path */
  constructor(shapes: ReadonlyMap<string, readonly number[]>) {
    this.#shapes = shapes;
  }

  /** Takes little-endian whole blocks of a matrix, from the byte `offset` on; of others nothing. */
  add(path: string, dtype: DType, offset: number, bytes: Uint8Array): void {
    const shape = this.#shapes.get(path);
    if (shape === undefined) return;
    const [rows, size] = shape as [number, number];
    const squares = this.#squares.get(path) ?? new Float64Array(rows);
    this.#squares.set(path, squares);
    const { blockBytes, blockSize } = dtypeInfo[dtype];
    const first = (offset / blockBytes) * blockSize;
    let [row, column] = [Math.floor(first / size), first % size];
    for (const value of dequantise(dtype, bytes)) {
      squares[row]! += value * value;
      if (++column < size) continue;
      column = 0;
      row++;
    }
  }

  /** f32 [out] of a matrix that came whole. @throws RangeError for one that did not come */
  of(path: string): Float32Array {
    const squares = this.#squares.get(path);
    if (squares === undefined) throw new RangeError(`no values of '${path}' have come`);
    return Float32Array.from(squares, Math.sqrt);
  }
}

/** A sink that passes weights on and, on the way, has `norms` take what they ask for. */
export function rowNormSink(norms: RowNorms, dtypeOf: (path: string) => DType, sink: WeightSink): WeightSink {
  return {
    ...sink,
    write: (path, byteOffset, bytes) => {
      norms.add(path, dtypeOf(path), byteOffset, bytes);
      return sink.write(path, byteOffset, bytes);
    },
  };
}
