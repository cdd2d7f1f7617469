import type { ByteSource } from './source/byte-source.js';

/** A tensor in a file, as the file describes it. */
export interface StoredTensor {
  readonly name: string;
  /** The type by the file's own name (`BF16`, `Q4_K`); see `dtype/names.ts`. */
  readonly type: string;
  /** Row-major: the last size is the one that runs fastest. */
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** From the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}
