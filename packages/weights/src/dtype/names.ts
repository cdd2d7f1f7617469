import { type DType, dtypeInfo } from '@lapidary/kernels/dtype';

export type SafetensorsDType =
  | 'BOOL'
  | 'U8'
  | 'I8'
  | 'F8_E5M2'
  | 'F8_E4M3'
  | 'I16'
  | 'U16'
  | 'F16'
  | 'BF16'
  | 'I32'
  | 'U32'
  | 'F32'
  | 'F64'
  | 'I64'
  | 'U64';

/** Bytes of one value. */
export const safetensorsBytes: Readonly<Record<SafetensorsDType, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
};

/** GGUF's numbers of types. Source: https://github.com/ggml-org/ggml, `ggml.h`. */
export const ggufTypes: Readonly<Record<number, { name: string; dtype: DType }>> = {
  0: { name: 'F32', dtype: 'f32' },
  1: { name: 'F16', dtype: 'f16' },
  2: { name: 'Q4_0', dtype: 'q4_0' },
  3: { name: 'Q4_1', dtype: 'q4_1' },
  6: { name: 'Q5_0', dtype: 'q5_0' },
  7: { name: 'Q5_1', dtype: 'q5_1' },
  8: { name: 'Q8_0', dtype: 'q8_0' },
  10: { name: 'Q2_K', dtype: 'q2_k' },
  11: { name: 'Q3_K', dtype: 'q3_k' },
  12: { name: 'Q4_K', dtype: 'q4_k' },
  13: { name: 'Q5_K', dtype: 'q5_k' },
  14: { name: 'Q6_K', dtype: 'q6_k' },
  20: { name: 'IQ4_NL', dtype: 'iq4_nl' },
  23: { name: 'IQ4_XS', dtype: 'iq4_xs' },
  30: { name: 'BF16', dtype: 'bf16' },
};

/** GGUF's number of a type. @throws RangeError for one that it has none of */
export function ggufTypeOf(dtype: DType): number {
  const found = Object.entries(ggufTypes).find(([, type]) => type.dtype === dtype);
  if (found === undefined) throw new RangeError(`GGUF has no number for ${dtype}`);
  return Number(found[0]);
}

const otherGgufTypes: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  21: 'IQ3_S',
  22: 'IQ2_S',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

export function ggufTypeName(id: number): string {
  return ggufTypes[id]?.name ?? otherGgufTypes[id] ?? `type ${id}`;
}

const byName = new Map<string, DType>((Object.keys(dtypeInfo) as DType[]).map((dtype) => [dtype.toUpperCase(), dtype]));

/** The storage type of a file's type name; undefined where there is none. */
export function dtypeOf(name: string): DType | undefined {
  return byName.get(name);
}
