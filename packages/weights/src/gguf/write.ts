import type { GgufMetadata, GgufValue } from '@lapidary/gemma/model';
import { tensorBytes } from '../dtype/dequantise.js';
import { ggufTypeOf } from '../dtype/names.js';
import type { TensorData } from '../safetensors/write.js';

const version = 3;
/** Tensors begin at multiples of this: `general.alignment`, where a file does not say. */
const alignment = 32;

/** The format's numbers of types. */
const typeIds = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
const elementTypes = { strings: 'string', bools: 'bool', i32s: 'i32', f32s: 'f32' } as const;

/**
 * A GGUF file in pieces: header, metadata and tensors in the order of their maps; tensors are asked for their bytes one after the other.
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 * @throws {RangeError} when a tensor's rows are no whole blocks of its type, or it has not the bytes that type and shape say
 */
export async function* encodeGguf(
  metadata: GgufMetadata,
  tensors: ReadonlyMap<string, TensorData>,
): AsyncGenerator<Uint8Array> {
  const header = new HeaderWriter();
  header.bytes(new TextEncoder().encode('GGUF'));
  header.u32(version);
  header.u64(tensors.size);
  header.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    header.string(key);
    header.value(value);
  }
  let end = 0;
  const sizes = new Map<string, number>();
  for (const [name, { dtype, shape }] of tensors) {
    const size = tensorBytes(dtype, shape);
    if (size === undefined)
      throw new RangeError(`Tensor ${name}: rows of ${shape.at(-1)} values are no whole blocks of ${dtype}.`);
    sizes.set(name, size);
    header.string(name);
    header.u32(shape.length);
    // The first runs fastest.
    for (const length of [...shape].reverse()) header.u64(length);
    header.u32(ggufTypeOf(dtype));
    header.u64(end);
    end = aligned(end + size);
  }
  header.bytes(new Uint8Array(aligned(header.length) - header.length));
  yield header.finish();
  for (const [name, { dtype, shape, bytes }] of tensors) {
    let written = 0;
    for await (const piece of bytes instanceof Uint8Array ? [bytes] : bytes()) {
      written += piece.length;
      yield piece;
    }
    const expected = sizes.get(name)!;
    if (written !== expected)
      throw new RangeError(
        `Tensor ${name}: ${written} bytes given, but ${dtype} [${shape.join(', ')}] takes ${expected}.`,
      );
    yield new Uint8Array(aligned(written) - written);
  }
}

const aligned = (offset: number) => Math.ceil(offset / alignment) * alignment;

/** Little-endian values one after the other. */
class HeaderWriter {
  #view = new DataView(new ArrayBuffer(1 << 16));
  length = 0;

  /** Where the next so many bytes go. */
  #take(size: number): number {
    if (this.length + size > this.#view.byteLength) {
      const longer = new Uint8Array(Math.max(2 * this.#view.byteLength, this.length + size));
      longer.set(new Uint8Array(this.#view.buffer));
      this.#view = new DataView(longer.buffer);
    }
    this.length += size;
    return this.length - size;
  }

  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#take(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#take(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  value([type, value]: GgufValue): void {
    if (!Array.isArray(value)) {
      this.u32(typeIds[type as keyof typeof typeIds]);
      this.#scalar(type as 'u32', value as number);
      return;
    }
    const element = elementTypes[type as keyof typeof elementTypes];
    this.u32(typeIds.array);
    this.u32(typeIds[element]);
    this.u64(value.length);
    for (const each of value) this.#scalar(element, each);
  }

  #scalar(type: 'u32' | 'i32' | 'f32' | 'bool' | 'string', value: number | boolean | string): void {
    if (type === 'string') {
      this.string(String(value));
      return;
    }
    const at = this.#take(type === 'bool' ? 1 : 4);
    if (type === 'bool') this.#view.setUint8(at, value ? 1 : 0);
    else if (type === 'f32') this.#view.setFloat32(at, Number(value), true);
    else this.#view.setUint32(at, Number(value) >>> 0, true);
  }

  finish(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.length);
  }
}
