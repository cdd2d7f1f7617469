import { openRunImage } from '#run-files';
import type { InputTypes } from '@lapidary/tensor';
import type { ByteSource } from '@lapidary/weights';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { OpenDataFiles } from '../../data/data-files.js';
import type { DataOptions } from '../../data/data-options.js';
import { DatasetError, EmptyDatasetError } from '../../data/errors.js';
import { withOurKeys } from '../../data/keys.js';
import { splitRows } from '../../data/order.js';
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
  Task,
} from '../../objectives/objective.js';
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

/** Reads the data of a config and makes examples of its rows. @throws DatasetError, EmptyDatasetError */
export async function openData<R extends Row, E extends Example>(
  run: DataConfig,
  objective: Pick<Objective<object, R>, 'parseRow'>,
  task: Pick<Task<BatchShape, InputTypes, E, R>, 'encode'>,
  { tokenizer }: Pick<OpenModel, 'tokenizer'>,
  pictures = new SeenPictures(),
): Promise<RunData<E>> {
  const { train, held, notices } = await openRows(run, objective);
  const learned = new Set([train.file, ...train.rows.map(({ file = train.file }) => file)]);
  const readImage = pictures.noting(readPicture, (file) => (learned.has(file) ? 'data' : 'evalData'));
  const data = await task.encode(train, held, { tokenizer, readImage });
  return { ...data, notices: [...notices, ...data.notices] };
}

/** As `openData`, of rows that are only evaluated: of a folder or a data set of several parts the one that is called valid. */
export async function openEvalData<R extends Row, E extends Example>(
  data: DataOptions,
  objective: Pick<Objective<object, R>, 'parseRow'>,
  task: Pick<Task<BatchShape, InputTypes, E, R>, 'encode'>,
  { tokenizer }: Pick<OpenModel, 'tokenizer'>,
): Promise<RunData<E>> {
  const rows = await readEval(data, objective.parseRow);
  return task.encode(
    rows,
    { ...rows, rows: [] },
    { tokenizer, readImage: new SeenPictures().noting(readPicture, () => 'evalData') },
  );
}

/** Reads the rows of a config. @throws DatasetError, EmptyDatasetError */
export async function openRows<R extends Row>(
  run: DataConfig,
  { parseRow }: Pick<Objective<object, R>, 'parseRow'>,
): Promise<RunRows<R>> {
  const all = await readTrain(run, parseRow);
  const apart = run.evalData === null ? all.valid : await readEval(run.evalData, parseRow);
  const split = splitRows(all.train.rows, apart ? 0 : run.evalFraction, run.seed);
  return {
    train: { ...all.train, rows: split.train },
    held: apart ?? { ...all.train, rows: split.held },
    notices: all.notices,
  };
}

type ParseRow<R extends Row> = Objective<object, R>['parseRow'];

/** What is learned from, and what lies beside it to evaluate on, where nothing else is named for that. */
async function readTrain<R extends Row>(
  { data: options, evalData }: DataConfig,
  parseRow: ParseRow<R>,
): Promise<{ train: RowSource<R>; valid: RowSource<R> | null; notices: string[] }> {
  const { source, split } = options;
  const parse = parserOf(options, parseRow);
  if (isList(source)) return { train: listed(source, 'data', options, parse), valid: null, notices: [] };
  const files = await openFiles(source, options);
  try {
    const { train, valid, unused } = chooseSplits(files.splits, split, files.name);
    const usesValid = valid !== null && evalData === null;
    return {
      train: await readSplit(files, train, options, parse),
      valid: usesValid ? await readSplit(files, valid, options, parse) : null,
      notices: describeSplits(files, train, usesValid ? valid : null, [
        ...unused,
        ...(valid && !usesValid ? [valid] : []),
      ]),
    };
  } finally {
    await files.close?.();
  }
}

async function readEval<R extends Row>(options: DataOptions, parseRow: ParseRow<R>): Promise<RowSource<R>> {
  const parse = parserOf(options, parseRow);
  const { source, split } = options;
  if (isList(source)) return listed(source, 'evalData', options, parse);
  const files = await openFiles(source, options);
  try {
    return await readSplit(files, chooseEvalSplit(files.splits, split, files.name), options, parse);
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
    parseRow(withOurKeys(value, options, file, line), file, line, options.format);

const listed = <R extends Row>(
  values: readonly object[],
  field: string,
  options: DataOptions,
  parse: RowParser<R>,
): RowSource<R> => ({
  rows: rowsOf(values, parse, field),
  file: field,
  options,
});

async function readSplit<R extends Row>(
  files: OpenDataFiles,
  { files: names }: Split,
  options: DataOptions,
  parse: RowParser<R>,
): Promise<RowSource<R>> {
  const rows: R[] = [];
  let file = files.name;
  for (const name of names) {
    const source = await files.open(name);
    try {
      const found = await rowsIn(source, parse);
      if (names.length === 1) file = source.name;
      for (const row of found) rows.push(names.length === 1 ? row : { ...row, file: source.name });
    } finally {
      await source.close?.();
    }
  }
  if (rows.length === 0) throw new EmptyDatasetError({ file, message: 'there are no rows' });
  return { rows, file, options };
}

async function rowsIn<R extends Row>(source: ByteSource, parse: RowParser<R>): Promise<R[]> {
  const rows: R[] = [];
  try {
    for await (const { value, line } of readRows(source)) rows.push(parse(value, source.name, line));
  } catch (cause) {
    if (cause instanceof DatasetError) throw cause;
    throw new DatasetError({ file: source.name, message: (cause as Error).message }, { cause });
  }
  return rows;
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
