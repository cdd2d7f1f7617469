/** Where bytes go that are too many for memory. */
export interface Spill {
  /** Puts bytes at the end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Exactly `length` bytes from `offset` on. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Gives the place back; nothing is left of it. */
  close(): Promise<void>;
}

const defaultPieceBytes = 4 * 2 ** 20;
/** Pieces that stay in memory as long as there are no more: what small data sets have. */
const defaultPieces = 8;

/** Bytes that are put there once and read in any order: in memory while they are few, else where `openSpill` says. */
export class ByteStore {
  readonly #openSpill: () => Promise<Spill>;
  readonly #pieceBytes: number;
  readonly #mostPieces: number;
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #spill: Promise<Spill> | undefined;
  /** Bytes in the spill: whole pieces. */
  #spilled = 0;
  #size = 0;

  constructor(
    openSpill: () => Promise<Spill>,
    { pieceBytes = defaultPieceBytes, pieces = defaultPieces }: { pieceBytes?: number; pieces?: number } = {},
  ) {
    this.#openSpill = openSpill;
    this.#pieceBytes = pieceBytes;
    this.#mostPieces = pieces;
  }

  get size(): number {
    return this.#size;
  }

  /** Puts bytes at the end, and gives the place of the first. Follow it with `drain` now and then. */
  append(bytes: Uint8Array): number {
    const at = this.#size;
    for (let from = 0; from < bytes.length; ) {
      const used = (this.#size - this.#spilled) % this.#pieceBytes;
      if (used === 0) this.#pieces.push(new Uint8Array(this.#pieceBytes));
      const part = bytes.subarray(from, from + this.#pieceBytes - used);
      this.#pieces.at(-1)!.set(part, used);
      from += part.length;
      this.#size += part.length;
    }
    return at;
  }

  /** Makes room in memory where there is too much. */
  async drain(): Promise<void> {
    if (this.#spill === undefined && this.#pieces.length <= this.#mostPieces) return;
    const spill = await (this.#spill ??= this.#openSpill());
    while (this.#size - this.#spilled >= this.#pieceBytes) {
      await spill.append(this.#pieces[0]!);
      this.#pieces.shift();
      this.#spilled += this.#pieceBytes;
    }
  }

  /** Exactly `length` bytes from `at` on. @throws RangeError for bytes that were not put there */
  async read(at: number, length: number): Promise<Uint8Array> {
    if (!(at >= 0 && length >= 0 && at + length <= this.#size))
      throw new RangeError(`${length} bytes from ${at} on are wanted of ${this.#size}`);
    const parts: Uint8Array[] = [];
    for (let from = at; from < at + length; ) {
      const rest = at + length - from;
      const part =
        from < this.#spilled
          ? await (await this.#spill!).read(from, Math.min(rest, this.#spilled - from))
          : this.#inMemory(from, rest);
      parts.push(part);
      from += part.length;
    }
    if (parts.length === 1) return parts[0]!;
    const joined = new Uint8Array(length);
    let to = 0;
    for (const part of parts) {
      joined.set(part, to);
      to += part.length;
    }
    return joined;
  }

  #inMemory(from: number, most: number): Uint8Array {
    const at = from - this.#spilled;
    const start = at % this.#pieceBytes;
    return this.#pieces[Math.floor(at / this.#pieceBytes)]!.slice(start, start + most);
  }

  /** Gives the spill back; what never left memory can still be read. */
  async close(): Promise<void> {
    await (await this.#spill)?.close();
  }
}
