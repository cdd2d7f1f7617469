/** How the next token is drawn from the logits; without any, from all of them at temperature 1. */
export interface SamplingOptions {
  /** 0: always the most likely token. Default 1. */
  readonly temperature?: number;
  /** Only the k most likely tokens; 0 or left out: all. */
  readonly topK?: number;
  /** Only the most likely tokens that together have this probability (Holtzman et al. 2019, arXiv:1904.09751). Default 1. */
  readonly topP?: number;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
}

/** A seeded generator of numbers in [0, 1) (mulberry32): the same seed, the same numbers, on every machine. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draws a token from logits f32 [V]. */
export function sampleToken(
  logits: Float32Array,
  { temperature = 1, topK = 0, topP = 1, random = Math.random }: SamplingOptions = {},
): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  if (temperature === 0 || topK === 1) return best;
  const top = logits[best]!;
  // Most likely first; tokens 30 nats below the best never matter and are not sorted.
  const order: number[] = [];
  for (let i = 0; i < logits.length; i++) if ((logits[i]! - top) / temperature > -30) order.push(i);
  order.sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (topK > 0) order.length = Math.min(order.length, topK);
  const weights = order.map((i) => Math.exp((logits[i]! - top) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let kept = 0;
  let mass = 0;
  while (kept < weights.length && (kept === 0 || mass < topP * total)) mass += weights[kept++]!;
  let draw = random() * mass;
  for (let i = 0; i < kept; i++) {
    draw -= weights[i]!;
    if (draw < 0) return order[i]!;
  }
  return order[kept - 1]!;
}
