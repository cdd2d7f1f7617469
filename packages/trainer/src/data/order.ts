import { createRandom } from '@lapidary/gemma';

/** Indices 0 … n − 1 in an order that depends on nothing but seed and epoch: what makes a resumed run see the same rows. */
export function epochOrder(n: number, seed: number, epoch: number): Uint32Array {
  const random = createRandom((Math.imul(seed, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b)) >>> 0);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Holds out a share of the rows, at least one of each side, chosen by seed; both sides keep the file's order. */
export function splitRows<T>(rows: readonly T[], fraction: number, seed: number): { train: T[]; held: T[] } {
  if (fraction === 0 || rows.length < 2) return { train: [...rows], held: [] };
  const count = Math.min(rows.length - 1, Math.max(1, Math.round(rows.length * fraction)));
  const chosen = new Set(epochOrder(rows.length, seed, -1).subarray(0, count));
  return { train: rows.filter((_, i) => !chosen.has(i)), held: rows.filter((_, i) => chosen.has(i)) };
}
