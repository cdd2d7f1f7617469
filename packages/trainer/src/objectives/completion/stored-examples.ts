import type { ByteStore } from '../../data/byte-store.js';
import { rowFormats, type RowFormat } from '../../data/data-options.js';
import { mixWords } from '../../data/mix-words.js';
import { rowFromJson, rowToJson } from '../../data/parse-row-json.js';
import { mostTokenBytes, tokensFromBytes, writeTokens } from '../../data/token-bytes.js';
import type { Example, Row } from '../objective.js';
import { countTargets, type StoredSize } from './batch.js';
import { imagesOf, type TextualRow } from './rows.js';
import type { CompletionExample } from './tokenise.js';

/** An example of which no more than a few numbers are in memory. */
export interface StoredExample extends Example, StoredSize {
  readonly stored: { readonly form: RowFormat; readonly fingerprint: string };
  /** The example itself. */
  load(): Promise<CompletionExample>;
}

/** Several stored rows in one sequence. */
export interface StoredSequence extends Example, StoredSize {
  readonly documents: readonly (StoredExample | CompletionExample)[];
}

/** An example of a run, in memory or not. */
export type AnyExample = CompletionExample | StoredExample | StoredSequence;

/** The example itself, with all that it is made of. */
export async function loadExample(example: AnyExample): Promise<Loaded> {
  if ('load' in example) return example.load();
  if ('tokens' in example) return example;
  return { ...example, documents: await Promise.all(example.documents.map(loadOne)) };
}

/** What batches are made of. */
export type Loaded =
  | CompletionExample
  | (Omit<StoredSequence, 'documents'> & { readonly documents: readonly CompletionExample[] });

/** An example of one row as tokens, whether it is in memory or not: an element of `prepareRun(…).data.train`, where rows are not packed. */
export const loadOne = async (example: StoredExample | CompletionExample): Promise<CompletionExample> =>
  'load' in example ? example.load() : example;

/** Stored rows as one sequence. */
export function sequenceOf(documents: readonly StoredExample[]): StoredSequence {
  const { row, patches } = documents[0]!;
  let [length, targets] = [0, 0];
  for (const document of documents) {
    length += document.length;
    targets += document.targets;
  }
  return { row, patches, length, targets, documents };
}

/** Numbers of an example, in their order; `high` and `low` are of the place of its first byte, high · 2^32 + low. */
const fields = [
  'high',
  'low',
  'tokenBytes',
  'rowBytes',
  'line',
  'file',
  'form',
  'length',
  'targets',
  'prefix',
  'patches',
  'fingerprintHigh',
  'fingerprintLow',
] as const;
type Field = (typeof fields)[number];
const orderOf = Object.fromEntries(fields.map((field, i) => [field, i])) as Readonly<Record<Field, number>>;

/** Examples whose numbers lie together. */
const pageExamples = 4096;

const encoder = new TextEncoder();

const wordsOfHex = (digits: string): [number, number] => [
  Number.parseInt(digits.slice(0, 8), 16),
  Number.parseInt(digits.slice(8), 16),
];

/** 64 bits of the first `size` bytes of a record, and of numbers beside them. */
function mixRecord(bytes: Uint8Array<ArrayBuffer>, size: number, numbers: readonly number[]): [number, number] {
  const words = Math.ceil(size / 4);
  bytes.fill(0, size, words * 4);
  const [record, beside] = [new Uint32Array(bytes.buffer, 0, words), Uint32Array.of(size, ...numbers)];
  return [mixWords(record, mixWords(beside, 0x9747b28c)), mixWords(record, mixWords(beside, 0x1b873593))];
}

/** Keeps examples in bytes: of each its tokens, and its row, but for one with pictures. */
export class ExampleStore {
  readonly #bytes: ByteStore;
  readonly #fingerprint: (example: Example) => string;
  readonly #pages: Uint32Array[] = [];
  readonly #kept = new Map<number, Pick<CompletionExample, 'row' | 'pictures'>>();
  readonly #files: (string | undefined)[] = [];
  #scratch = new Uint8Array(2 ** 16);
  #count = 0;

  constructor(bytes: ByteStore, fingerprint: (example: Example) => string) {
    this.#bytes = bytes;
    this.#fingerprint = fingerprint;
  }

  add(example: CompletionExample): StoredExample {
    const { row, tokens, lossMask, prefix, length, patches, pictures } = example;
    const { line, file, ...content } = row;
    // Pictures may be files at hand, and are known again by the row that names them.
    const kept = imagesOf(row).length > 0 ? { row, pictures } : undefined;
    const text = kept ? '' : rowToJson(content);
    const scratch = this.#scratchOf(length * mostTokenBytes + text.length * 3 + 4);
    const tokenBytes = writeTokens(tokens, lossMask, scratch);
    const rowBytes = encoder.encodeInto(text, scratch.subarray(tokenBytes)).written;
    const size = tokenBytes + rowBytes;
    const at = this.#bytes.append(scratch.subarray(0, size));
    const index = this.#count++;
    if (index % pageExamples === 0) this.#pages.push(new Uint32Array(pageExamples * fields.length));
    const [fingerprintHigh, fingerprintLow] = kept
      ? wordsOfHex(this.#fingerprint(example))
      : mixRecord(scratch, size, [length, prefix, patches]);
    const numbers: Readonly<Record<Field, number>> = {
      high: Math.floor(at / 2 ** 32),
      low: at % 2 ** 32,
      tokenBytes,
      rowBytes,
      line,
      file: this.#fileOf(file),
      form: rowFormats.findIndex((form) => form in row),
      length,
      targets: countTargets(example),
      prefix,
      patches,
      fingerprintHigh,
      fingerprintLow,
    };
    const page = this.#pages.at(-1)!;
    const first = (index % pageExamples) * fields.length;
    for (let i = 0; i < fields.length; i++) page[first + i] = numbers[fields[i]!];
    if (kept) this.#kept.set(index, kept);
    return new InStore(this, index);
  }

  numberOf(index: number, field: Field): number {
    return this.#pages[Math.floor(index / pageExamples)]![(index % pageExamples) * fields.length + orderOf[field]]!;
  }

  #placeOf(index: number): Row {
    const file = this.#files[this.numberOf(index, 'file')];
    return { line: this.numberOf(index, 'line'), ...(file !== undefined && { file }) };
  }

  /** Number of a file's name. */
  #fileOf(file: string | undefined): number {
    // Rows of a file follow each other.
    if (this.#files.at(-1) !== file || this.#files.length === 0) this.#files.push(file);
    return this.#files.length - 1;
  }

  #scratchOf(size: number): Uint8Array<ArrayBuffer> {
    if (this.#scratch.length < size) this.#scratch = new Uint8Array(Math.ceil(size / 1024) * 2048);
    return this.#scratch;
  }

  /** The row where that is in memory, else where it stands. */
  rowOf(index: number): Row {
    return this.#kept.get(index)?.row ?? this.#placeOf(index);
  }

  async load({ index, stored, length, patches }: InStore): Promise<CompletionExample> {
    const kept = this.#kept.get(index);
    const number = (field: Field) => this.numberOf(index, field);
    const tokenBytes = number('tokenBytes');
    const bytes = await this.#bytes.read(number('high') * 2 ** 32 + number('low'), tokenBytes + number('rowBytes'));
    const { tokens, learned } = tokensFromBytes(bytes, length);
    const content = () => rowFromJson(new TextDecoder().decode(bytes.subarray(tokenBytes))) as TextualRow;
    const row = kept?.row ?? { ...content(), ...this.#placeOf(index) };
    const prefix = number('prefix');
    return { row, length, patches, tokens, lossMask: learned, prefix, pictures: kept?.pictures, stored };
  }
}

/** What stands for an example in memory: as little as can be, for there may be millions. */
class InStore implements StoredExample {
  constructor(
    readonly store: ExampleStore,
    readonly index: number,
  ) {}
  get row(): Row {
    return this.store.rowOf(this.index);
  }
  get length(): number {
    return this.store.numberOf(this.index, 'length');
  }
  get targets(): number {
    return this.store.numberOf(this.index, 'targets');
  }
  get patches(): number {
    return this.store.numberOf(this.index, 'patches');
  }
  get stored(): StoredExample['stored'] {
    const digits = (field: Field) => this.store.numberOf(this.index, field).toString(16).padStart(8, '0');
    const fingerprint = digits('fingerprintHigh') + digits('fingerprintLow');
    return { form: rowFormats[this.store.numberOf(this.index, 'form')]!, fingerprint };
  }
  load(): Promise<CompletionExample> {
    return this.store.load(this);
  }
}
