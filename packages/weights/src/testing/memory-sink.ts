import type { WeightSink, WeightTarget } from '../loader/types.js';

/** Keeps whole parameters, and checks what a sink may rely on. */
export function memorySink() {
  const params = new Map<string, Uint8Array>();
  const initialised = new Map<string, WeightTarget>();
  let largest = 0;
  const sink: WeightSink = {
    write(path, byteOffset, bytes) {
      const before = params.get(path) ?? new Uint8Array(0);
      if (byteOffset % 4 !== 0) throw new Error(`offset ${byteOffset} is no multiple of 4`);
      if (byteOffset !== before.length) throw new Error(`${path}: piece at ${byteOffset} after ${before.length} bytes`);
      largest = Math.max(largest, bytes.length);
      const after = new Uint8Array(before.length + bytes.length);
      after.set(before);
      after.set(bytes, before.length);
      params.set(path, after);
    },
    initialise(path, spec) {
      initialised.set(path, spec);
    },
  };
  return { sink, params, initialised, largest: () => largest };
}
