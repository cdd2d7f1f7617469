import { openRunImage, openSpill } from '#run-files';
import type { InputTypes } from '@lapidary/tensor';
import type { ByteSource } from '@lapidary/weights';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { ByteStore } from '../../data/byte-store.js';
import type { OpenDataFiles } from '../../data/data-files.js';
import type { DataOptions } from '../../data/data-options.js';
import { DatasetError, EmptyDatasetError } from '../../data/errors.js';
import { withOurKeys, withTemplateKwargs } from '../../data/keys.js';
import { heldRows, splitRows } from '../../data/order.js';
import { rowsOf, type RowParser } from '../../data/rows-of.js';
import { readRows } from '../../data/read-rows.js';
import { chooseEvalSplit, chooseSplits, type Split } from '../../data/splits.js';
import type {
  BatchShape,
  EncodeContext,
  Example,
  Objective,
  Row,
  RowSource,
  RunData,
  StreamedPart,
  Task,
} from '../../objectives/objective.js';
import { fingerprintExample } from '../identity.js';
import { SeenPictures } from '../seen-pictures.js';
import type { OpenModel } from './open-model.js';
import { openFiles } from './open-files.js';

/** What of a config says where rows come from. */
export type DataConfig = Pick<ResolvedTrainConfig, 'data' | 'evalData' | 'evalFraction' | 'seed'>;

/** The rows of a run, before they become examples. */
export interface RunRows<R extends Row = Row> {
  readonly train: RowSource<R>;
  /** Held out for evaluation and samples; may be empty. */
  readonly held: RowSource<R>;
  /** Which parts of a folder or data set are read, and which are not, in sentences. */
  readonly notices: readonly string[];
}

/** The data of a run. */
export interface OpenedData<E extends Example = Example> extends RunData<E> {
  /** Gives back where rows are kept; they cannot be read then. */
  close(): Promise<void>;
}

/** How far reading is. */
export interface ReadProgress {
  readonly file: string;
  /** So far, of all files. */
  readonly rows: number;
  readonly tokens: number;
  /** Of this file. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** What is told while rows are read, and what ends it. */
export interface ReadOptions {
  /** Called some times a second. */
  readonly onProgress?: (progress: ReadProgress) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Reads the data of a config and makes examples of its rows. Those of an objective that can stream are not kept in memory, however many
 * there are. @throws DatasetError, EmptyDatasetError; AbortError
 */
export async function openData<R extends Row, E extends Example>(
  run: DataConfig,
  objective: Pick<Objective<object, R>, 'parseRow'>,
  task: Pick<Task<BatchShape, InputTypes, E, R>, 'encode' | 'stream'>,
  { tokenizer }: Pick<OpenModel, 'tokenizer'>,
  pictures = new SeenPictures(),
  options: ReadOptions = {},
): Promise<OpenedData<E>> {
  const learned = new Set<string>();
  const readImage = pictures.noting(readPicture, (file) => (learned.has(file) ? 'data' : 'evalData'));
  const noteLearned = (file: string, row: Row) => learned.add(row.file ?? file);
  if (task.stream === undefined) {
    const { train, held, notices } = await openRows(run, objective, options);
    learned.add(train.file);
    for (const row of train.rows) noteLearned(train.file, row);
    const data = await task.encode(train, held, { tokenizer, readImage });
    return { ...data, notices: [...notices, ...data.notices], close: async () => undefined };
  }
  const store = new ByteStore(openSpill);
  try {
    const stream = task.stream({ tokenizer, readImage, store, fingerprint: fingerprintExample });
    const sides = { train: new Side<E>(), held: new Side<E>() };
    let tokens = 0;
    const take: TakeRow<R> = (side, source, row) => {
      if (side === 'train') noteLearned(source.file, row);
      const example = stream.add(row, source);
      sides[side].add(example);
      tokens += example?.length ?? 0;
    };
    const found = await readAll(run, objective.parseRow, take, {
      ...options,
      tokens: () => tokens,
      pause: () => store.drain(),
    });
    learned.add(found.train.file);
    const { train, held } =
      found.held === null ? sides.train.split(run.evalFraction, run.seed) : { train: sides.train, held: sides.held };
    const data = await stream.finish(train.part(found.train.file), held.part((found.held ?? found.train).file));
    return { ...data, notices: [...found.notices, ...data.notices], close: () => store.close() };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** As `openData`, of rows that are only evaluated: of a folder or a data set of several parts the one that is called valid. */
export async function openEvalData<R extends Row, E extends Example>(
  data: DataOptions,
  objective: Pick<Objective<object, R>, 'parseRow'>,
  task: Pick<Task<BatchShape, InputTypes, E, R>, 'encode'>,
  { tokenizer }: Pick<OpenModel, 'tokenizer'>,
): Promise<RunData<E>> {
  const rows: R[] = [];
  const source = await readEval(data, objective.parseRow, { counted: { rows: 0 }, take: (_, row) => rows.push(row) });
  return task.encode(
    { ...source, rows },
    { ...source, rows: [] },
    { tokenizer, readImage: new SeenPictures().noting(readPicture, () => 'evalData') },
  );
}

/** Examples of one side, and which rows they are of. */
class Side<E extends Example> {
  readonly #examples: E[] = [];
  /** Numbers of rows that are left out. */
  readonly #without = new Set<number>();
  #rows = 0;

  add(example: E | undefined): void {
    if (example === undefined) this.#without.add(this.#rows);
    else this.#examples.push(example);
    this.#rows++;
  }

  /** Holds out a share of the rows, those that are left out among them. */
  split(fraction: number, seed: number): { train: Side<E>; held: Side<E> } {
    const isHeld = heldRows(this.#rows, fraction, seed);
    const sides = { train: new Side<E>(), held: new Side<E>() };
    let next = 0;
    for (let i = 0; i < this.#rows; i++) {
      const side = isHeld[i] === 1 ? sides.held : sides.train;
      side.add(this.#without.has(i) ? undefined : this.#examples[next++]);
    }
    return sides;
  }

  part(file: string): StreamedPart<E> {
    return { examples: this.#examples, rows: this.#rows, file };
  }
}

/** Reads the rows of a config. @throws DatasetError, EmptyDatasetError; AbortError */
export async function openRows<R extends Row>(
  run: DataConfig,
  { parseRow }: Pick<Objective<object, R>, 'parseRow'>,
  options: ReadOptions = {},
): Promise<RunRows<R>> {
  const rows: Record<'train' | 'held', R[]> = { train: [], held: [] };
  const found = await readAll<R>(run, parseRow, (side, _source, row) => rows[side].push(row), options);
  const { train, held, notices } = found;
  const split = splitRows(rows.train, held ? 0 : run.evalFraction, run.seed);
  return {
    train: { ...train, rows: split.train },
    held: held ? { ...held, rows: rows.held } : { ...train, rows: split.held },
    notices,
  };
}

type ParseRow<R extends Row> = Objective<object, R>['parseRow'];
type SourceOf<R extends Row> = Omit<RowSource<R>, 'rows'>;
type TakeRow<R extends Row> = (side: 'train' | 'held', source: SourceOf<R>, row: R) => void;

/** How rows are read one by one. */
interface Reading<R extends Row> extends ReadOptions {
  readonly take: (source: SourceOf<R>, row: R) => void;
  /** What is waited for now and then. */
  readonly pause?: (() => Promise<void>) | undefined;
  readonly tokens?: (() => number) | undefined;
  /** Of all sources so far. */
  readonly counted: { rows: number };
}

/** Reads what is learned from, then what lies beside it or is named to evaluate on; `held` is null where there is none of that. */
async function readAll<R extends Row>(
  run: DataConfig,
  parseRow: ParseRow<R>,
  take: TakeRow<R>,
  options: ReadOptions & Pick<Reading<R>, 'pause' | 'tokens'>,
): Promise<{ train: SourceOf<R>; held: SourceOf<R> | null; notices: string[] }> {
  const counted = { rows: 0 };
  const reading = (side: 'train' | 'held'): Reading<R> => ({
    ...options,
    counted,
    take: (source, row) => take(side, source, row),
  });
  const { data, evalData } = run;
  const { source, split } = data;
  const parse = parserOf(data, parseRow);
  if (isList(source)) {
    const train = readList(source, 'data', data, parse, reading('train'));
    const held = evalData && (await readEval(evalData, parseRow, reading('held')));
    return { train, held, notices: [] };
  }
  const files = await openFiles(source, data);
  try {
    const { train, valid, unused } = chooseSplits(files.splits, split, files.name);
    const usesValid = valid !== null && evalData === null;
    const learned = await readSplit(files, train, data, parse, reading('train'));
    const beside = usesValid ? await readSplit(files, valid, data, parse, reading('held')) : null;
    return {
      train: learned,
      held: beside ?? (evalData && (await readEval(evalData, parseRow, reading('held')))),
      notices: describeSplits(files, train, usesValid ? valid : null, [
        ...unused,
        ...(valid && !usesValid ? [valid] : []),
      ]),
    };
  } finally {
    await files.close?.();
  }
}

async function readEval<R extends Row>(
  options: DataOptions,
  parseRow: ParseRow<R>,
  reading: Reading<R>,
): Promise<SourceOf<R>> {
  const parse = parserOf(options, parseRow);
  const { source, split } = options;
  if (isList(source)) return readList(source, 'evalData', options, parse, reading);
  const files = await openFiles(source, options);
  try {
    return await readSplit(files, chooseEvalSplit(files.splits, split, files.name), options, parse, reading);
  } finally {
    await files.close?.();
  }
}

const readPicture: EncodeContext['readImage'] = async (image, { file }) =>
  typeof image === 'string' ? openRunImage(image, file) : new Uint8Array(await image.arrayBuffer());

const isList = (source: DataOptions['source']): source is readonly object[] => Array.isArray(source);

const parserOf =
  <R extends Row>(options: DataOptions, parseRow: ParseRow<R>): RowParser<R> =>
  (value, file, line) =>
    parseRow(withTemplateKwargs(withOurKeys(value, options, file, line), options), file, line, options.format);

function readList<R extends Row>(
  values: readonly object[],
  file: string,
  options: DataOptions,
  parse: RowParser<R>,
  { take, counted }: Reading<R>,
): SourceOf<R> {
  const source = { file, options };
  for (const row of rowsOf(values, parse, file)) take(source, row);
  counted.rows += values.length;
  return source;
}

async function readSplit<R extends Row>(
  files: OpenDataFiles,
  { files: names }: Split,
  options: DataOptions,
  parse: RowParser<R>,
  reading: Reading<R>,
): Promise<SourceOf<R>> {
  const before = reading.counted.rows;
  let file = files.name;
  for (const name of names) {
    const source = await files.open(name);
    try {
      if (names.length === 1) file = source.name;
      const about = { file, options };
      await readFile(source, parse, reading, (row) =>
        reading.take(about, names.length === 1 ? row : { ...row, file: source.name }),
      );
    } finally {
      await source.close?.();
    }
  }
  if (reading.counted.rows === before) throw new EmptyDatasetError({ file, message: 'there are no rows' });
  return { file, options };
}

/** Rows between two looks at the clock and the signal. */
const rowsAtOnce = 256;
/** Milliseconds between two words on how far it is. */
const toldEvery = 200;

async function readFile<R extends Row>(
  given: ByteSource,
  parse: RowParser<R>,
  { counted, onProgress, signal, pause, tokens }: Reading<R>,
  take: (row: R) => void,
): Promise<void> {
  const { name: file, size: totalBytes } = given;
  const { source, bytesRead } = measured(given);
  let told = 0;
  const tell = async () => {
    signal?.throwIfAborted();
    await pause?.();
    if (onProgress === undefined || performance.now() - told < toldEvery) return;
    told = performance.now();
    await onProgress({ file, rows: counted.rows, tokens: tokens?.() ?? 0, bytes: bytesRead(), totalBytes });
  };
  try {
    await tell();
    for await (const { value, line } of readRows(source)) {
      take(parse(value, file, line));
      if (++counted.rows % rowsAtOnce === 0) await tell();
    }
  } catch (cause) {
    if (cause instanceof DatasetError || signal?.aborted || !(cause instanceof Error)) throw cause;
    throw new DatasetError({ file, message: cause.message }, { cause });
  }
}

/** A source that knows how far it was read. */
function measured(given: ByteSource): { source: ByteSource; bytesRead: () => number } {
  let read = 0;
  const source: ByteSource = {
    name: given.name,
    size: given.size,
    read: (offset, length, signal) => {
      read = Math.max(read, offset + length);
      return given.read(offset, length, signal);
    },
  };
  return { source, bytesRead: () => read };
}

function describeSplits(
  { name, splits }: OpenDataFiles,
  train: Split,
  valid: Split | null,
  unused: readonly Split[],
): string[] {
  const used = [train, ...(valid ? [valid] : [])];
  const partial = used.filter(({ isPartial }) => isPartial).map((split) => split.name);
  const notices =
    partial.length === 0
      ? []
      : [
          `${name}: of ${partial.join(' and ')} the hub has made Parquet of the first part only; to read all of it name a revision, such as main.`,
        ];
  if (splits.length < 2) return notices;
  const rest = unused.length === 0 ? '' : `; not used: ${unused.map((split) => split.name).join(', ')}`;
  const evaluated = valid === null ? '' : `, evaluated on ${valid.name}`;
  return [`${name}: learns from ${train.name}${evaluated}${rest}.`, ...notices];
}
