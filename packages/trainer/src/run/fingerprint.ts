import { wordsOf, type WeightSink } from '@lapidary/weights';
import { mixWords } from '../data/mix-words.js';
import { createSha256 } from '../store/sha256.js';
import { WeightHash } from './weight-hash.js';

/** Hexadecimal digits of a SHA-256 that are kept: enough to tell things apart that nobody made alike on purpose. */
const digits = 16;

/** What values go by, one after the other: as JSON, bytes in it by their hash. */
export function fingerprintAll(values: Iterable<unknown>): string {
  const hash = createSha256();
  for (const value of values) hash.update(new TextEncoder().encode(`${JSON.stringify(value, plain)}\n`));
  return hash.hex().slice(0, digits);
}

/** A value of a JSON text in one spelling: the keys of its objects sorted. */
export function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, inOrder(each)]),
  );
}

/** What JSON has no word for. Of a file at hand that is what is known of it at once. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Blob) return `${value.size} bytes of ${value.type}`;
  if (!ArrayBuffer.isView(value)) return value;
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return `${bytes.length} bytes ${mixWords(wordsOf(bytes))}`;
}

/** Of weights that were hashed in four lanes; earlier versions did it word by word. */
export const laneMark = '4:';

/**
 * A sink that passes weights on and, on the way, makes a fingerprint of every byte: it tells the weights of a run from others of the
 * same shapes, wherever they come from, in whatever order and in whatever pieces.
 */
export function fingerprintWeights(sink: WeightSink): WeightSink & {
  readonly fingerprint: () => string;
  /** Of each parameter that came, by path. */
  readonly hashes: () => ReadonlyMap<string, string>;
} {
  const byPath = new Map<string, WeightHash>();
  const hashes = () => new Map([...byPath].map(([path, hash]) => [path, hash.hex()]));
  return {
    ...sink,
    write: (path, byteOffset, bytes) => {
      const hash = byPath.get(path) ?? new WeightHash();
      byPath.set(path, hash);
      hash.update(wordsOf(bytes));
      return sink.write(path, byteOffset, bytes);
    },
    hashes,
    fingerprint: () => {
      const all = [...hashes()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, hash]) => `${path} ${hash}`);
      return `${laneMark}${fingerprintAll(all)}`;
    },
  };
}
