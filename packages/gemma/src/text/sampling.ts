/** How the next token is drawn from the logits; without any, from all of them at temperature 1. As transformers' logits processors. */
export interface SamplingOptions {
  /** 0: always the most likely token. Default 1. */
  readonly temperature?: number;
  /** Only the k most likely tokens, and those as likely as the last of them; 0 or left out: all. */
  readonly topK?: number;
  /** Only the most likely tokens that together have this probability (Holtzman et al. 2019, arXiv:1904.09751). Default 1. */
  readonly topP?: number;
  /** Only tokens at least this times as likely as the most likely one (Nguyen et al. 2024, arXiv:2407.01082). Default 0. */
  readonly minP?: number;
  /** Makes tokens of the prompt and the answer so far less likely (Keskar et al. 2019, arXiv:1909.05858). Above 0; 1, the default: no less. */
  readonly repetitionPenalty?: number;
}

/** What a token is drawn with. */
export interface DrawOptions extends SamplingOptions {
  /** Tokens so far, for the repetition penalty; how often one comes makes no difference. */
  readonly seen?: Iterable<number>;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
}

/** A setting of sampling that no draw can be made with. */
export class SamplingError extends Error {
  override readonly name = 'SamplingError';
  readonly option: keyof SamplingOptions | 'seed';
  constructor(option: keyof SamplingOptions | 'seed', found: unknown, allowed: string) {
    super(`\`${option}\` is ${String(found)}; it must be ${allowed}`);
    this.option = option;
  }
}

/** What each setting may be: the CLI and servers check with the same rules. */
export const samplingRules = {
  temperature: { isAllowed: (x: number) => x >= 0 && x < Infinity, allowed: 'a number, 0 or more' },
  topK: {
    isAllowed: (x: number) => Number.isSafeInteger(x) && x >= 0,
    allowed: 'a whole number, 1 or more, or 0 for all',
  },
  topP: { isAllowed: (x: number) => x > 0 && x <= 1, allowed: 'a number above 0, at most 1' },
  minP: { isAllowed: (x: number) => x >= 0 && x <= 1, allowed: 'a number from 0 to 1' },
  repetitionPenalty: { isAllowed: (x: number) => x > 0 && x < Infinity, allowed: 'a number above 0' },
  seed: { isAllowed: (x: number) => Number.isSafeInteger(x) && x >= 0, allowed: 'a whole number, 0 or more' },
} as const satisfies Record<
  keyof SamplingOptions | 'seed',
  { readonly isAllowed: (value: number) => boolean; readonly allowed: string }
>;

/** @throws SamplingError naming the setting */
export function checkSampling(options: SamplingOptions & { readonly seed?: number }): void {
  for (const option of ['temperature', 'topK', 'topP', 'minP', 'repetitionPenalty', 'seed'] as const) {
    const value: unknown = options[option];
    const { isAllowed, allowed } = samplingRules[option];
    if (value !== undefined && !(typeof value === 'number' && isAllowed(value)))
      throw new SamplingError(option, value, allowed);
  }
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

/** The largest logit's index. */
export function greedy(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** Tokens so far below the likeliest, in nats, have no part in a draw. */
const FAINTEST = -30;

/**
 * The tokens that may come next, in the order of their ids, and how likely each is, from logits f32 [V]: repetition penalty, temperature,
 * top-k, top-p and min-p in this order, as transformers has it. @throws SamplingError
 */
export function nextTokenProbabilities(
  logits: Float32Array,
  options: Omit<DrawOptions, 'random'> = {},
): { readonly tokens: readonly number[]; readonly probabilities: readonly number[] } {
  checkSampling(options);
  const { temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, seen = [] } = options;
  const scores = repetitionPenalty === 1 ? logits : penalised(logits, new Set(seen), repetitionPenalty);
  const best = greedy(scores);
  if (temperature === 0) return { tokens: [best], probabilities: [1] };
  const top = scores[best]!;
  let tokens: number[] = [];
  for (let i = 0; i < scores.length; i++) if ((scores[i]! - top) / temperature > FAINTEST) tokens.push(i);
  const weightOf = (score: number) => Math.exp((score - top) / temperature);
  if (topK > 0 && topK < tokens.length) {
    const least = sortedScores(tokens, scores).at(-topK)!;
    tokens = tokens.filter((i) => scores[i]! >= least);
  }
  if (topP < 1) tokens = nucleus(tokens, scores, { topP, weightOf });
  if (minP > 0) tokens = tokens.filter((i) => weightOf(scores[i]!) >= minP);
  const weights = tokens.map((i) => weightOf(scores[i]!));
  const total = weights.reduce((a, b) => a + b, 0);
  return { tokens, probabilities: weights.map((weight) => weight / total) };
}

function penalised(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): Float32Array {
  const scores = logits.slice();
  for (const token of seen) {
    const score = scores[token];
    if (score !== undefined) scores[token] = score < 0 ? score * penalty : score / penalty;
  }
  return scores;
}

/** Smallest first. A typed array's sort, since a vocabulary is large. */
function sortedScores(tokens: readonly number[], scores: Float32Array): Float32Array {
  return Float32Array.from(tokens, (i) => scores[i]!).sort();
}

/** The likeliest tokens that together have the probability `topP`, at least one; of equals those with the smaller ids. */
function nucleus(
  tokens: readonly number[],
  scores: Float32Array,
  { topP, weightOf }: { readonly topP: number; readonly weightOf: (score: number) => number },
): number[] {
  const sorted = sortedScores(tokens, scores);
  const total = sorted.reduce((sum, score) => sum + weightOf(score), 0);
  let kept = 0;
  let mass = 0;
  while (kept < sorted.length && (kept === 0 || mass < topP * total)) mass += weightOf(sorted[sorted.length - ++kept]!);
  const least = sorted[sorted.length - kept]!;
  let equals = kept - sorted.reduce((n, score) => n + (score > least ? 1 : 0), 0);
  return tokens.filter((i) => scores[i]! > least || (scores[i]! === least && equals-- > 0));
}

/** Draws a token from logits f32 [V]. @throws SamplingError */
export function sampleToken(logits: Float32Array, { random = Math.random, ...options }: DrawOptions = {}): number {
  const { tokens, probabilities } = nextTokenProbabilities(logits, options);
  let draw = random();
  for (let i = 0; i < tokens.length; i++) {
    draw -= probabilities[i]!;
    if (draw < 0) return tokens[i]!;
  }
  return tokens.at(-1)!;
}

/**
 * Chooses the tokens of one answer, one after the other, from their logits f32 [V]: `GenerateOptions.choose`. The same seed, the same
 * answer. `prompt`: its tokens, for the repetition penalty. @throws SamplingError
 */
export function createSampler(
  { seed = 42, ...options }: SamplingOptions & { readonly seed?: number },
  prompt: readonly number[] = [],
): (logits: Float32Array) => number {
  checkSampling({ seed, ...options });
  const random = createRandom(seed);
  const seen = new Set(prompt);
  return (logits) => {
    const token = sampleToken(logits, { ...options, seen, random });
    seen.add(token);
    return token;
  };
}
