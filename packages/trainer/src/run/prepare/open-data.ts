import type { InputTypes } from '@lapidary/tensor';
import { openRunData, openRunImage } from '#run-files';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { DataOptions } from '../../data/data-options.js';
import { splitRows } from '../../data/order.js';
import { readJsonl, rowsOf } from '../../data/read-jsonl.js';
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

/** Reads the data of a config and makes examples of its rows. @throws DatasetError, EmptyDatasetError */
export async function openData<R extends Row, E extends Example>(
  run: Pick<ResolvedTrainConfig, 'data' | 'evalData' | 'evalFraction' | 'seed'>,
  objective: Pick<Objective<object, R>, 'parseRow'>,
  task: Pick<Task<BatchShape, InputTypes, E, R>, 'encode'>,
  { tokenizer }: Pick<OpenModel, 'tokenizer'>,
  pictures = new SeenPictures(),
): Promise<RunData<E>> {
  const read = async (options: DataOptions, field: 'data' | 'evalData'): Promise<RowSource<R>> => {
    const { source, format } = options;
    const parse = (value: unknown, file: string, line: number) => objective.parseRow(value, file, line, format);
    if (isList(source)) return { rows: rowsOf(source, parse, field), file: field, options };
    const { text, name } = await openRunData(source);
    return { rows: readJsonl(text, name, parse), file: name, options };
  };
  const all = await read(run.data, 'data');
  const apart = run.evalData && (await read(run.evalData, 'evalData'));
  const split = splitRows(all.rows, apart ? 0 : run.evalFraction, run.seed);
  const train = { ...all, rows: split.train };
  const held = apart ?? { ...all, rows: split.held };
  const readImage = pictures.noting(readPicture, (file) => (file === train.file ? 'data' : 'evalData'));
  return task.encode(train, held, { tokenizer, readImage });
}

const readPicture: EncodeContext['readImage'] = async (image, { file }) =>
  typeof image === 'string' ? openRunImage(image, file) : new Uint8Array(await image.arrayBuffer());

const isList = (source: DataOptions['source']): source is readonly object[] => Array.isArray(source);
