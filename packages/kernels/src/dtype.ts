/**
 * How values lie in memory. `bf16` and `f16` are packed two to a `u32`; the names from `q4_0` on are GGUF block formats,
 * byte for byte as ggml writes them (https://github.com/ggml-org/ggml, `ggml-common.h`). `nf4` is in no file: the 4-bit codes of QLoRA
 * (arXiv:2305.14314) for 64 values each, as bitsandbytes packs them, behind the largest of these, f32.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | QuantDType;
/** Block formats: of GGUF whole blocks of 32 values, or of 256 (`_k`, `_xs`); `nf4` of 64. */
export const quantDTypes = [
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q8_0',
  'q2_k',
  'q3_k',
  'q4_k',
  'q5_k',
  'q6_k',
  'iq4_nl',
  'iq4_xs',
  'nf4',
] as const;
export type QuantDType = (typeof quantDTypes)[number];

interface DTypeInfo {
  /** Values in one block; 1 for plain types. A row of a quantised tensor is a whole number of blocks. */
  readonly blockSize: number;
  /** Bytes of one block. */
  readonly blockBytes: number;
  /** Where in a block of a quantised type its scales begin, f16 but for `nf4`'s, which is f32; all its other bits are whole numbers. */
  readonly scalesAt: readonly number[];
}

/** How large a block of each type is. */
export const dtypeInfo: Readonly<Record<DType, DTypeInfo>> = {
  f32: { blockSize: 1, blockBytes: 4, scalesAt: [] },
  f16: { blockSize: 1, blockBytes: 2, scalesAt: [] },
  bf16: { blockSize: 1, blockBytes: 2, scalesAt: [] },
  i32: { blockSize: 1, blockBytes: 4, scalesAt: [] },
  u32: { blockSize: 1, blockBytes: 4, scalesAt: [] },
  q4_0: { blockSize: 32, blockBytes: 18, scalesAt: [0] },
  q4_1: { blockSize: 32, blockBytes: 20, scalesAt: [0, 2] },
  q5_0: { blockSize: 32, blockBytes: 22, scalesAt: [0] },
  q5_1: { blockSize: 32, blockBytes: 24, scalesAt: [0, 2] },
  q8_0: { blockSize: 32, blockBytes: 34, scalesAt: [0] },
  q2_k: { blockSize: 256, blockBytes: 84, scalesAt: [80, 82] },
  q3_k: { blockSize: 256, blockBytes: 110, scalesAt: [108] },
  q4_k: { blockSize: 256, blockBytes: 144, scalesAt: [0, 2] },
  q5_k: { blockSize: 256, blockBytes: 176, scalesAt: [0, 2] },
  q6_k: { blockSize: 256, blockBytes: 210, scalesAt: [208] },
  iq4_nl: { blockSize: 32, blockBytes: 18, scalesAt: [0] },
  iq4_xs: { blockSize: 256, blockBytes: 136, scalesAt: [0] },
  nf4: { blockSize: 64, blockBytes: 36, scalesAt: [0] },
};

/** Whether values lie in blocks with a common scale. */
export function isQuantised(dtype: DType): dtype is QuantDType {
  return dtypeInfo[dtype].blockSize > 1;
}

/** Bytes of `elements` values of `dtype`, unpadded. `elements` must be a multiple of the block size. */
export function byteLength(dtype: DType, elements: number): number {
  const { blockSize, blockBytes } = dtypeInfo[dtype];
  if (elements % blockSize !== 0) {
    throw new RangeError(`${elements} values of ${dtype} are no whole number of blocks of ${blockSize}`);
  }
  return (elements / blockSize) * blockBytes;
}

/** Bytes a GPU buffer needs for `elements` values: `byteLength` rounded up to a multiple of 4. */
export function storageBytes(dtype: DType, elements: number): number {
  return Math.ceil(byteLength(dtype, elements) / 4) * 4;
}
