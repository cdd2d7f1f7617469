/** Texts as a program takes them. */
export interface TextBatch {
  /** i32 [N, T]: padded on the right with 0. */
  readonly inputIds: Int32Array;
  /** i32 [N, T, 4]: (segment, block, position, 0); each text is one block, which sees itself in both directions; padding in segment 0. */
  readonly tokenInfo: Int32Array;
  /** f32 [N, T]: 1 / n for each of a text's n tokens; all 0 where there is no text. */
  readonly tokenWeights: Float32Array;
}

/**
 * Texts as one batch, which `EmbeddingHead.embed` makes vectors of.
 * @param texts the tokens of each, and at which of the batch's places it stands
 */
export function textBatch(
  texts: Iterable<readonly [place: number, tokens: ArrayLike<number>]>,
  { batch, length }: { readonly batch: number; readonly length: number },
): TextBatch {
  const inputIds = new Int32Array(batch * length);
  const tokenInfo = new Int32Array(batch * length * 4);
  const tokenWeights = new Float32Array(batch * length);
  for (const [place, tokens] of texts) {
    const from = place * length;
    inputIds.set(tokens, from);
    tokenWeights.fill(1 / tokens.length, from, from + tokens.length);
    for (let i = 0; i < tokens.length; i++) tokenInfo.set([1, 0, i, 0], (from + i) * 4);
  }
  return { inputIds, tokenInfo, tokenWeights };
}

/** A text's first tokens, with its end where the tokenizer puts one there. */
export function cutTokens(tokens: readonly number[], most: number, eosId: number): readonly number[] {
  if (tokens.length <= most) return tokens;
  return tokens.at(-1) === eosId ? [...tokens.slice(0, most - 1), eosId] : tokens.slice(0, most);
}
