import type { WeightSink } from '@lapidary/weights';

/** Bytes at the start of each parameter: where two checkpoints differ, they differ there too. */
const sampleBytes = 256;

/**
 * A sink that passes weights on and, on the way, makes a fingerprint of them: eight hexadecimal digits (FNV-1a) that tell the
 * weights of a run from others of the same shapes, wherever they come from and in whatever order.
 */
export function fingerprintWeights(sink: WeightSink): WeightSink & { readonly fingerprint: () => string } {
  const byPath = new Map<string, number>();
  return {
    ...sink,
    write: (path, byteOffset, bytes) => {
      if (byteOffset === 0) byPath.set(path, fnv1a(bytes.subarray(0, sampleBytes)));
      return sink.write(path, byteOffset, bytes);
    },
    fingerprint: () => {
      const all = [...byPath].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, hash]) => `${path} ${hash}`);
      return fnv1a(new TextEncoder().encode(all.join('\n')))
        .toString(16)
        .padStart(8, '0');
    },
  };
}

/** http://www.isthe.com/chongo/tech/comp/fnv/ */
export function fnv1a(bytes: Iterable<number>, start = 0x811c9dc5): number {
  let hash = start;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
