import { fixtureBytes } from '../../../../test/support/safetensors-fixture.js';
import type { QuantDType } from '../dtype.js';

/** The fixture that blocks of a type are in. */
export const blocksFile = (dtype: QuantDType): string => `${dtype === 'nf4' ? 'nf4' : 'gguf'}/blocks.safetensors`;

/** Blocks as ggml (of NF4 bitsandbytes) wrote them, six rows of one block each, and the values they stand for. */
export async function ggufBlocks(
  dtype: QuantDType,
): Promise<{ rows: number; dim: number; values: Float32Array; bytes: Uint8Array }> {
  const file = await fixtureBytes(blocksFile(dtype));
  const headerLength = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerLength))) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  const part = (name: string) => {
    const [start, end] = header[name]!.data_offsets;
    return file.slice(8 + headerLength + start, 8 + headerLength + end);
  };
  const [rows, dim] = header[`${dtype}.values`]!.shape as [number, number];
  return { rows, dim, values: new Float32Array(part(`${dtype}.values`).buffer), bytes: part(`${dtype}.bytes`) };
}
