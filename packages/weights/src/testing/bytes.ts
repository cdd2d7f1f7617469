/** A small generator with a seed: tests that fail must fail again. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A safetensors file out of a header as it is, however wrong. */
export function rawSafetensors(header: unknown, dataBytes: number, length?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

interface GgufBuilder {
  u32(value: number): GgufBuilder;
  u64(value: bigint | number): GgufBuilder;
  text(value: string): GgufBuilder;
  string(value: string): GgufBuilder;
  header(tensors: bigint | number, pairs: bigint | number): GgufBuilder;
  tensor(name: string, dims: (bigint | number)[], type: number, offset: bigint | number): GgufBuilder;
  pad(to: number): GgufBuilder;
  align(): GgufBuilder;
  bytes(data?: number): Uint8Array;
}

/** Pieces of a GGUF, written one after another. */
export function gguf(): GgufBuilder {
  const parts: number[] = [];
  const push = (bytes: number, value: bigint): GgufBuilder => {
    for (let i = 0; i < bytes; i++) parts.push(Number((value >> BigInt(8 * i)) & 255n));
    return builder;
  };
  const builder: GgufBuilder = {
    u32: (value: number) => push(4, BigInt(value)),
    u64: (value: bigint | number) => push(8, BigInt(value)),
    text: (value: string) => {
      parts.push(...new TextEncoder().encode(value));
      return builder;
    },
    string: (value: string) => builder.u64(value.length).text(value),
    header: (tensors: bigint | number, pairs: bigint | number) => builder.text('GGUF').u32(3).u64(tensors).u64(pairs),
    tensor: (name: string, dims: (bigint | number)[], type: number, offset: bigint | number) => {
      builder.string(name).u32(dims.length);
      for (const size of dims) builder.u64(size);
      return builder.u32(type).u64(offset);
    },
    pad: (to: number) => {
      while (parts.length < to) parts.push(0);
      return builder;
    },
    align: () => builder.pad(Math.ceil(parts.length / 32) * 32),
    bytes: (data = 0) => Uint8Array.from([...parts, ...new Uint8Array(data)]),
  };
  return builder;
}
