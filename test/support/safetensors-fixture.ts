/** A tensor of a fixture file; floats are f32, whole numbers i32. */
export interface FixtureTensor {
  readonly shape: number[];
  readonly data: Float32Array | Int32Array;
}

/** Bytes of a file below `test/fixtures`, in Node and in a browser. */
export async function fixtureBytes(path: string): Promise<Uint8Array> {
  if (typeof process !== 'undefined' && process.versions?.node) {
    const { readFile } = await import('node:fs/promises');
    const file = await readFile(new URL(`../fixtures/${path}`, import.meta.url));
    return new Uint8Array(file);
  }
  const response = await fetch(`/test/fixtures/${path}`);
  if (!response.ok) throw new Error(`fixture ${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

export async function fixtureJson<T>(path: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await fixtureBytes(path))) as T;
}

/** The f32 and i32 tensors of a safetensors fixture: a reader of its own, so that tests do not rest on the product's. */
export async function fixtureTensors(path: string): Promise<Map<string, FixtureTensor>> {
  const bytes = await fixtureBytes(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, FixtureTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const {
      dtype,
      shape,
      data_offsets: [start, end],
    } = entry;
    if (dtype !== 'F32' && dtype !== 'I32') continue;
    const buffer = bytes.slice(8 + headerLength + start, 8 + headerLength + end).buffer;
    tensors.set(name, { shape, data: dtype === 'F32' ? new Float32Array(buffer) : new Int32Array(buffer) });
  }
  return tensors;
}
