import { epochOrder } from '../../data/order.js';
import { bucketLength } from './batch.js';
import type { CompletionExample } from './tokenise.js';

/** Rows that are looked through together for what fits: packing takes time in the square of it, and a few thousand rows pack as well as all. */
const windowRows = 2048;

export interface PackOptions {
  /** Tokens of a packed sequence. */
  readonly maxLength: number;
  readonly seed: number;
}

/**
 * Rows as documents of as few sequences as can be had quickly: in windows of rows shuffled by `seed`, the longest first, each into the
 * first sequence with room for it (first-fit decreasing). Depends on nothing but its arguments.
 */
export function packExamples(examples: readonly CompletionExample[], options: PackOptions): CompletionExample[] {
  return packInto(joined, examples, options);
}

/** The same of examples of whatever kind; `join` makes a sequence of them. */
export function packInto<E extends Pick<CompletionExample, 'length'>, P>(
  join: (documents: readonly E[]) => P,
  examples: readonly E[],
  { maxLength, seed }: PackOptions,
): P[] {
  const order = epochOrder(examples.length, seed, -2);
  const packed: P[] = [];
  for (let from = 0; from < order.length; from += windowRows) {
    const rows = [...order.subarray(from, from + windowRows)].map((n) => examples[n]!);
    packed.push(...packWindow(rows, maxLength).map(join));
  }
  return packed;
}

function packWindow<E extends Pick<CompletionExample, 'length'>>(rows: readonly E[], maxLength: number): E[][] {
  const sequences: { room: number; readonly documents: E[] }[] = [];
  // Sorting is stable: rows of a length stay as they were shuffled.
  for (const row of [...rows].sort((a, b) => b.length - a.length)) {
    let sequence = sequences.find(({ room }) => room >= row.length);
    if (sequence === undefined) sequences.push((sequence = { room: maxLength, documents: [] }));
    sequence.documents.push(row);
    sequence.room -= row.length;
  }
  return sequences.map(({ documents }) => documents);
}

function joined(documents: readonly CompletionExample[]): CompletionExample {
  const length = documents.reduce((n, document) => n + document.length, 0);
  const tokens = new Int32Array(length);
  const lossMask = new Uint8Array(length);
  let at = 0;
  for (const document of documents) {
    tokens.set(document.tokens, at);
    lossMask.set(document.lossMask, at);
    // Nothing before it predicts the first token of a document.
    lossMask[at] = 0;
    at += document.length;
  }
  return { row: documents[0]!.row, length, patches: 0, tokens, lossMask, prefix: 0, pictures: undefined, documents };
}

/** What an epoch computes. */
export interface Padding {
  /** Tokens, padding included. */
  readonly places: number;
  /** Share of padding. */
  readonly share: number;
}

/** How much of the first epoch's batches is padding. */
export function paddingOf(
  examples: readonly Pick<CompletionExample, 'length'>[],
  { maxLength, seed, batchSize }: PackOptions & { readonly batchSize: number },
): Padding {
  const order = epochOrder(examples.length, seed, 0);
  const rows = Math.min(batchSize, examples.length);
  let places = 0;
  for (let from = 0; from < order.length; from += rows) {
    const lengths = [...order.subarray(from, from + rows)].map((n) => examples[n]!.length);
    places += rows * bucketLength(Math.max(...lengths), maxLength);
  }
  const tokens = examples.reduce((n, { length }) => n + length, 0);
  return { places, share: 1 - tokens / places };
}

/** What packing saves, in a sentence. */
export function describePacking(
  rows: readonly Pick<CompletionExample, 'length'>[],
  packed: readonly Pick<CompletionExample, 'length'>[],
  options: PackOptions & { readonly batchSize: number },
): string {
  const [before, after] = [paddingOf(rows, options), paddingOf(packed, options)];
  const percent = ({ share }: Padding) => `${Math.round(share * 100)} %`;
  const count = (n: number) => n.toLocaleString('en');
  return (
    `${count(rows.length)} rows are packed into ${count(packed.length)} sequences of at most ${count(options.maxLength)} tokens: ` +
    `padding is ${percent(after)} of what is computed, not ${percent(before)}, ` +
    `and an epoch computes ${count(after.places)} tokens, not ${count(before.places)}.`
  );
}
