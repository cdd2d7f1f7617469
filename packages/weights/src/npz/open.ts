import type { ByteSource } from '../source/byte-source.js';
import type { NpzFile } from './read.js';

/**
 * The arrays of a .npz file, as numpy.savez and big_vision write it: a zip of .npy files, stored as they are. Only headers
 * are read, so checksums of arrays are not checked. Names are without `.npy`. The reader is loaded with the first file: few have one.
 * @throws {WeightFileError} naming the array and what to do, for compressed, pickled, Fortran-ordered and big-endian arrays too.
 */
export async function openNpz(source: ByteSource, signal?: AbortSignal): Promise<NpzFile> {
  const { readNpz } = await import('./read.js');
  return readNpz(source, signal);
}
