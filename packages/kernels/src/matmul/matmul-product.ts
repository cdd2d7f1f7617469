import type { DType } from '../dtype.js';

/** A matrix product as the choice of its variant sees it. */
export interface MatmulProduct {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Of B. */
  readonly dtype: DType;
}

/** What a product goes by in `DeviceProfile.kernelChoices`: `512x2048x640 nt bf16`, with n or t for A and B as they lie. */
export function productKey({ m, n, k, batch, transposeA, transposeB, dtype }: MatmulProduct): string {
  const order = `${transposeA ? 't' : 'n'}${transposeB ? 't' : 'n'}`;
  return `${batch === 1 ? '' : `${batch} of `}${m}x${n}x${k} ${order} ${dtype}`;
}

/** Tiles of a side that cover all results. */
export const tilesOf = ({ m, n, batch }: MatmulProduct, side: number): number =>
  Math.ceil(m / side) * Math.ceil(n / side) * batch;

/** How many times as many results large tiles may compute, those past the edges with them, as tiles of half their side. */
const MOST_WASTE = 1.25;

/** Whether too much of such tiles lies past the edges. */
export const isWasteful = (product: MatmulProduct, side: number): boolean =>
  4 * tilesOf(product, side) > MOST_WASTE * tilesOf(product, side / 2);
