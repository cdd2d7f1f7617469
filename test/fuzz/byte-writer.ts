import type { Dice } from './dice.js';

interface NumberField {
  readonly at: number;
  readonly size: 1 | 2 | 4 | 8;
  readonly big: boolean;
}

/** Numbers at which readers turn. */
const edges: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  16n,
  31n,
  127n,
  128n,
  255n,
  256n,
  0x7fffn,
  0xffffn,
  0x10000n,
  100_000_001n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** Writes a file and remembers where its numbers are, so that just those can be changed. */
export class ByteWriter {
  readonly #bytes: number[] = [];
  readonly #fields: NumberField[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  number(size: NumberField['size'], value: number | bigint, { big = false }: { big?: boolean } = {}): this {
    this.#fields.push({ at: this.length, size, big });
    const wide = BigInt.asUintN(8 * size, BigInt(value));
    for (let i = 0; i < size; i++) this.#bytes.push(Number((wide >> BigInt(8 * (big ? size - 1 - i : i))) & 255n));
    return this;
  }

  f32(value: number): this {
    return this.bytes(new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(bytes: Uint8Array): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  text(text: string): this {
    return this.bytes(new TextEncoder().encode(text));
  }

  /** Zeros up to a multiple of `alignment`. */
  align(alignment: number): this {
    while (this.length % alignment !== 0) this.#bytes.push(0);
    return this;
  }

  /** The file as it was written. */
  plain(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  /** The file, from none to several of its numbers, or any of its bytes, changed. */
  broken(dice: Dice): Uint8Array {
    const bytes = Uint8Array.from(this.#bytes);
    const view = new DataView(bytes.buffer);
    for (let i = dice.pick([0, 0, 1, 1, 1, 2, 4]); i > 0 && this.#fields.length > 0; i--) {
      const { at, size, big } = dice.pick(this.#fields);
      const was = readNumber(view, at, size, big);
      const now = dice.chance(0.6) ? dice.pick(edges) : was + dice.pick([-8n, -1n, 1n, 2n, 8n, 32n, was]);
      for (let j = 0; j < size; j++)
        bytes[at + j] = Number((BigInt.asUintN(64, now) >> BigInt(8 * (big ? size - 1 - j : j))) & 255n);
    }
    return brokenBytes(bytes, dice);
  }
}

function readNumber(view: DataView, at: number, size: number, big: boolean): bigint {
  let value = 0n;
  for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(view.getUint8(big ? at + i : at + size - 1 - i));
  return value;
}

/** Bytes in which some numbers, wherever there may be some, are others: for files that a library wrote. */
export function brokenNumbers(bytes: Uint8Array, dice: Dice): Uint8Array {
  const broken = bytes.slice();
  const view = new DataView(broken.buffer);
  for (let i = dice.pick([0, 0, 1, 1, 2, 4, 9]); i > 0 && broken.length >= 8; i--) {
    const size = dice.pick([2, 4, 4, 8] as const);
    const at = Math.floor(dice.below(broken.length - 7) / size) * size;
    const was = readNumber(view, at, size, false);
    const now = dice.chance(0.6) ? dice.pick(edges) : was + dice.pick([-8n, -1n, 1n, 2n, 8n, 32n, was]);
    for (let j = 0; j < size; j++) broken[at + j] = Number((BigInt.asUintN(64, now) >> BigInt(8 * j)) & 255n);
  }
  return broken;
}

/** Any bytes: most often as they are, else cut, flipped, doubled or with others in between. */
export function brokenBytes(bytes: Uint8Array, dice: Dice): Uint8Array {
  const at = dice.below(bytes.length + 1);
  switch (dice.below(16)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return joined(bytes.subarray(0, at), dice.bytes(dice.pick([1, 2, 8, 40])), bytes.subarray(at));
    case 2:
      return joined(bytes, dice.chance(0.5) ? dice.bytes(dice.between(1, 70)) : bytes);
    case 3: {
      const shorter = bytes.slice();
      shorter.copyWithin(at, Math.min(bytes.length, at + dice.between(1, 9)));
      return shorter;
    }
    case 4:
    case 5: {
      const flipped = bytes.slice();
      for (let i = dice.between(1, 4); i > 0 && bytes.length > 0; i--)
        flipped[dice.below(bytes.length)] = dice.pick([0, 0xff, dice.below(256)]);
      return flipped;
    }
    default:
      return bytes;
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
