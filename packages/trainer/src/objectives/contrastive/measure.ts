import type { Measured } from '../objective.js';
import { positivePlaces, textsOf, type ContrastiveBatch } from './batch.js';

/** Rows that are ranked: of more the first. */
const mostRanked = 1000;
/** Places that count. */
const places = 10;

/**
 * The loss of rows that are held out, by the negatives of a step of `count` micro-batches each, as they are trained; and how well the text of
 * each of the first 1,000 is found among all of them: `ndcg@10` (Järvelin and Kekäläinen 2002, gains of 1) and `accuracy@1`.
 */
export function measureVectors(
  outputs: readonly Float32Array[],
  batches: readonly ContrastiveBatch[],
  count: number,
  { scale, width }: { readonly scale: number; readonly width: number },
): Measured {
  let [loss, rows] = [0, 0];
  for (let from = 0; from < batches.length; from += count) {
    const of = vectorsOf(outputs.slice(from, from + count), batches.slice(from, from + count), width);
    for (const { anchor, positive } of of.rows) {
      const key = of.keys[positive];
      const scores = of.candidates.flatMap((vector, c) =>
        c === positive || of.keys[c] !== key ? [scale * dot(anchor, vector)] : [],
      );
      const most = Math.max(...scores);
      const total = most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
      loss += total - scale * dot(anchor, of.candidates[positive]!);
      rows++;
    }
  }
  return { loss: loss / rows, metrics: rank(vectorsOf(outputs, batches, width)) };
}

interface Vectors {
  /** Of each row its anchor, what that is known by, and the place of its positive. */
  readonly rows: readonly { readonly anchor: Float32Array; readonly key: string; readonly positive: number }[];
  /** Texts to be found, and what each is known by. */
  readonly candidates: readonly Float32Array[];
  readonly keys: readonly string[];
}

function vectorsOf(outputs: readonly Float32Array[], batches: readonly ContrastiveBatch[], width: number): Vectors {
  const { anchors, candidates: texts } = textsOf(batches);
  const vectors: { anchors: Float32Array[]; candidates: Float32Array[] } = { anchors: [], candidates: [] };
  batches.forEach(({ shape: { batch, rows } }, b) => {
    for (let text = 0; text < batch; text++)
      vectors[text < rows ? 'anchors' : 'candidates'].push(outputs[b]!.subarray(text * width, (text + 1) * width));
  });
  const positive = positivePlaces(batches[0]!.shape, batches.length);
  const rows = anchors.flatMap((key, i) =>
    key === '' ? [] : [{ anchor: vectors.anchors[i]!, key, positive: positive[i]! }],
  );
  // Places stay what they are: texts that are not there are passed over by their empty keys.
  const there = texts.flatMap((key, c) => (key === '' ? [] : [c]));
  const placeOf = new Map(there.map((c, i) => [c, i]));
  return {
    rows: rows.map((row) => ({ ...row, positive: placeOf.get(row.positive)! })),
    candidates: there.map((c) => vectors.candidates[c]!),
    keys: there.map((c) => texts[c]!),
  };
}

/** Every text to be found is ranked once, and every text that belongs to an anchor in some row counts. */
function rank({ rows, candidates, keys }: Vectors): Record<string, number> {
  const vectorOf = new Map(keys.map((key, c) => [key, candidates[c]!]));
  const relevantOf = new Map<string, Set<string>>();
  for (const { key, positive } of rows) relevantOf.set(key, (relevantOf.get(key) ?? new Set()).add(keys[positive]!));
  const queries = new Map(rows.map(({ key, anchor }) => [key, anchor]));
  let [ndcg, accuracy, ranked] = [0, 0, 0];
  for (const [key, anchor] of queries) {
    if (ranked === mostRanked) break;
    ranked++;
    const relevant = relevantOf.get(key)!;
    const scored = [...vectorOf].map(([text, vector]) => ({ text, score: dot(anchor, vector) }));
    const best = scored.sort((a, b) => b.score - a.score).slice(0, places);
    const gain = best.reduce((sum, { text }, i) => sum + (relevant.has(text) ? 1 / Math.log2(i + 2) : 0), 0);
    let ideal = 0;
    for (let i = 0; i < Math.min(places, relevant.size); i++) ideal += 1 / Math.log2(i + 2);
    ndcg += gain / ideal;
    accuracy += Number(relevant.has(best[0]!.text));
  }
  return { [`ndcg@${places}`]: ndcg / ranked, 'accuracy@1': accuracy / ranked };
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
