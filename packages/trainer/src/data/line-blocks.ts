import type { ByteSource } from '@lapidary/weights';
import { decodeText } from './decode-text.js';
import { DatasetError } from './errors.js';

/** Bytes read at once. */
const pieceBytes = 4 * 2 ** 20;
/** Bytes of one line: above any row that has its pictures in it, and far below what a string can hold. */
export const largestLine = 128 * 2 ** 20;

/** Whole lines of a text, with their ends. */
export interface LineBlock {
  readonly text: string;
  /** Number of its first line; counts from 1. */
  readonly line: number;
  /** Whether the text ends here. */
  readonly isLast: boolean;
}

/** A UTF-8 text of any size in blocks of whole lines. @throws DatasetError naming a line that is no UTF-8, or longer than 128 MiB */
export async function* lineBlocks(source: ByteSource): AsyncGenerator<LineBlock> {
  const { name: file, size } = source;
  let line = 1;
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for (let offset = 0; offset < size; offset += pieceBytes) {
    const piece = await source.read(offset, Math.min(pieceBytes, size - offset));
    const isLast = offset + piece.length === size;
    const end = isLast ? piece.length : piece.lastIndexOf(0x0a) + 1;
    if (end === 0) {
      waiting.push(piece);
      waitingBytes += piece.length;
    } else {
      const bytes = joined([...waiting, piece.subarray(0, end)]);
      yield { text: decodeText(bytes, file, line), line, isLast };
      line += countLines(bytes);
      waiting = end < piece.length ? [piece.subarray(end)] : [];
      waitingBytes = piece.length - end;
    }
    if (waitingBytes > largestLine)
      throw new DatasetError({
        file,
        line,
        message: `this line has more than ${largestLine} bytes. Is it a text file?`,
      });
  }
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count++;
  return count;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
