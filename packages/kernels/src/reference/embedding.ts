type Values = ArrayLike<number>;

interface Shape {
  dim: number;
  vocab: number;
  scale: number;
}

/** scale · table[id] for each id, zeros for an id outside the table; in float64. */
export function embeddingGatherReference(table: Values, ids: Values, { dim, vocab, scale }: Shape): Float64Array {
  return Float64Array.from({ length: ids.length * dim }, (_, i) => {
    const id = ids[Math.floor(i / dim)]!;
    return id >= 0 && id < vocab ? scale * table[id * dim + (i % dim)]! : 0;
  });
}

/** The table's gradient added to what `dTable` holds. */
export function embeddingScatterAddReference(
  ids: Values,
  dOut: Values,
  dTable: Values,
  { dim, vocab, scale }: Shape,
): Float64Array {
  const out = Float64Array.from(dTable);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id < 0 || id >= vocab) continue;
    for (let j = 0; j < dim; j++) out[id * dim + j]! += scale * dOut[i * dim + j]!;
  }
  return out;
}
