import { createRandom } from '@lapidary/gemma';

/** Indices 0 … n − 1 in an order that depends on nothing but seed and epoch: what makes a resumed run see the same rows. */
export function epochOrder(n: number, seed: number, epoch: number): Uint32Array {
  const random = createRandom((Math.imul(seed, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b)) >>> 0);
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Holds out a share of the rows, at least one of each side, chosen by seed; both sides keep the file's order. */
export function splitRows<T>(rows: readonly T[], fraction: number, seed: number): { train: T[]; held: T[] } {
  const isHeld = heldRows(rows.length, fraction, seed);
  return { train: rows.filter((_, i) => isHeld[i] === 0), held: rows.filter((_, i) => isHeld[i] === 1) };
}

/** Which of `count` rows that are: 1 for each that is held out. */
export function heldRows(count: number, fraction: number, seed: number): Uint8Array {
  const isHeld = new Uint8Array(count);
  if (fraction === 0 || count < 2) return isHeld;
  const held = Math.min(count - 1, Math.max(1, Math.round(count * fraction)));
  for (const i of epochOrder(count, seed, -1).subarray(0, held)) isHeld[i] = 1;
  return isHeld;
}
