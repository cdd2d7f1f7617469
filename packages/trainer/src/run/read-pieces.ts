import { byteLength, dtypeInfo } from '@lapidary/kernels';
import type { Variable } from '@lapidary/tensor';
import { holdsNonFinite } from '@lapidary/weights';
import { NonFiniteParameterError } from '../errors/errors.js';

/** Most bytes that are read back from the device at once: so much memory a copy takes on it. */
const mostBytes = 4 * 2 ** 20;

/** Bytes on the device while any of these variables is read by `readPieces`. */
export function readBackBytes(variables: readonly Variable[]): number {
  return Math.max(0, ...variables.map((variable) => Math.min(pieceBytes(variable), variable.bytes)));
}

/** The bytes of a variable, in pieces of whole blocks of its type. */
export async function* readPieces(variable: Variable): AsyncGenerator<Uint8Array> {
  const total = byteLength(variable.type.dtype, variable.tensor.size);
  const piece = pieceBytes(variable);
  for (let at = 0; at < total; at += piece) {
    const count = Math.min(piece, total - at);
    yield (await variable.readBytes(at, Math.ceil(count / 4) * 4)).subarray(0, count);
  }
}

/** The same, of what is to be written into files. @throws NonFiniteParameterError naming `path` where a value is NaN or infinite */
export async function* readFinitePieces(path: string, variable: Variable): AsyncGenerator<Uint8Array> {
  for await (const piece of readPieces(variable)) {
    if (holdsNonFinite(variable.type.dtype, piece)) throw new NonFiniteParameterError({ path });
    yield piece;
  }
}

/** Whole blocks, and a multiple of 4 bytes. */
function pieceBytes({ type }: Variable): number {
  const unit = dtypeInfo[type.dtype].blockBytes * 4;
  return Math.max(1, Math.floor(mostBytes / unit)) * unit;
}
