/** A piece of memory needed from item `first` to item `last` of the schedule, inclusive. */
export interface Lifetime {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface Placement {
  /** Number of the shared buffer each lifetime is put in. */
  readonly slot: readonly number[];
  /** Bytes of each shared buffer. */
  readonly slotBytes: readonly number[];
}

/**
 * Puts lifetimes into as few and small shared buffers as a greedy can: largest first, each into the first buffer that is
 * free all its life (Pisarchyk & Lee 2020, arXiv:2001.03288, "greedy by size"). Whole buffers are shared, never parts, since
 * WebGPU lets no buffer be read and written in one dispatch.
 */
export function place(lifetimes: readonly Lifetime[]): Placement {
  const slot = new Array<number>(lifetimes.length);
  const slotBytes: number[] = [];
  const residents: Lifetime[][] = [];
  const order = lifetimes
    .map((_, i) => i)
    .sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes || lifetimes[a]!.first - lifetimes[b]!.first);
  for (const i of order) {
    const life = lifetimes[i]!;
    let best = -1;
    for (let s = 0; s < residents.length; s++) {
      if (residents[s]!.some((r) => r.first <= life.last && life.first <= r.last)) continue;
      // Every buffer so far is at least this large; the smallest that is free wastes least.
      if (best < 0 || slotBytes[s]! < slotBytes[best]!) best = s;
    }
    if (best < 0) {
      best = slotBytes.push(life.bytes) - 1;
      residents.push([]);
    }
    residents[best]!.push(life);
    slot[i] = best;
  }
  return { slot, slotBytes };
}
