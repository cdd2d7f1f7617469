import type { Variable } from '@lapidary/tensor';
import { holdsNonFinite } from '@lapidary/weights';
import { readPieces } from '../read-pieces.js';

/**
 * The first of the variables that holds a value which is not finite, by path; null where there is none, or where the device
 * can no longer be read. Read back in pieces, and only when a run has failed.
 */
export async function findNonFinite(variables: Iterable<readonly [string, Variable]>): Promise<string | null> {
  try {
    for (const [path, variable] of variables) if (await isNonFinite(variable)) return path;
  } catch {
    // The device that made the error may be gone; the error itself is what matters.
  }
  return null;
}

async function isNonFinite(variable: Variable): Promise<boolean> {
  if (!variable.isAllocated) return false;
  for await (const bytes of readPieces(variable)) if (holdsNonFinite(variable.type.dtype, bytes)) return true;
  return false;
}
