import type { Tokenizer } from '@lapidary/gemma';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { DatasetError } from '../../data/errors.js';
import type { DataInspection, ShownPiece, ShownRow } from '../../metrics/data-inspection.js';
import type { RunLogger } from '../../metrics/logger.js';
import type { InspectedRow, RowSource } from '../../objectives/objective.js';
import { objectiveOf } from '../../objectives/registry.js';
import { shorterMaxLength } from '../prepare/fit-settings.js';
import { openRows } from '../prepare/open-data.js';
import { openModel } from '../prepare/open-model.js';
import { bindTask } from '../prepare/prepare-run.js';
import { countLearned, RowCounter } from './count-rows.js';

/** How data is looked at. */
export interface InspectDataOptions {
  /** How many of the first rows are shown token by token. Default 5. */
  readonly rows?: number;
  readonly signal?: AbortSignal;
  readonly logger?: Pick<RunLogger, 'onPhase'>;
}

/** Rows between two looks at the signal, and two words on how far it is. */
const rowsAtOnce = 2000;

/**
 * What a model will see of a config's data: its first rows token by token, what of them is learned and what is cut, and counts of all.
 * No weight is read. Rows that are too long are counted, whatever `tooLong` says.
 * @throws DatasetError for rows that cannot be used; what the loader throws
 */
export async function inspectData(
  config: ResolvedTrainConfig,
  { rows: shown = 5, signal, logger }: InspectDataOptions = {},
): Promise<DataInspection> {
  await logger?.onPhase?.({ name: 'Reading rows' });
  const open = await openModel(config.weightLoader);
  try {
    const { tokenizer, model } = open;
    const objective = objectiveOf(config.objective);
    const task = bindTask(config, model, open.weights.format);
    const { train, held, notices } = await openRows(config, objective);
    if (task.inspect === undefined)
      throw new DatasetError({
        file: train.file,
        message: `rows of the objective '${objective.type}' cannot be shown`,
      });
    const patches = Math.max(
      0,
      ...[...task.inspect({ ...train, rows: train.rows.slice(0, 1) }, tokenizer)].map((row) => row.patches),
    );
    const maxLength = shorterMaxLength(config, model, patches) ?? config.maxLength;
    const counters = [new RowCounter(maxLength), new RowCounter(maxLength)] as const;
    const first: ShownRow[] = [];
    let heldInTrain = 0;
    const total = train.rows.length + held.rows.length;
    let done = 0;
    for (const [i, source] of [train, held].entries()) {
      const counter = counters[i]!;
      for (const row of task.inspect(source, tokenizer)) {
        const key = counter.add(row);
        if (i === 1) heldInTrain += Number(counters[0].has(key));
        else if (first.length < shown) first.push(shownRow(row, source, tokenizer, maxLength));
        if (done++ % rowsAtOnce > 0) continue;
        signal?.throwIfAborted();
        await logger?.onPhase?.({ name: 'Looking at rows', done, total });
      }
    }
    return {
      source: train.file,
      maxLength,
      tooLong: config.data.tooLong,
      lossOn: config.data.lossOn,
      train: counters[0].summary(),
      held: counters[1].count > 0 ? counters[1].summary() : null,
      heldInTrain,
      rows: first,
      notices,
    };
  } finally {
    await open.weights.close();
  }
}

function shownRow(inspected: InspectedRow, source: RowSource, tokenizer: Tokenizer, maxLength: number): ShownRow {
  const { row, form, pictures, patches, tokens, sequences, learned } = inspected;
  return {
    file: row.file ?? source.file,
    line: row.line,
    form,
    pictures,
    patches,
    length: Math.max(...(sequences ?? [tokens.length])),
    learned: countLearned(learned),
    pieces: piecesOf(inspected, tokenizer, maxLength),
  };
}

/** Tokens with the text that they are. */
function piecesOf({ tokens, learned, sequences }: InspectedRow, tokenizer: Tokenizer, maxLength: number): ShownPiece[] {
  const pieces: ShownPiece[] = [];
  const places = (sequences ?? [tokens.length]).flatMap((length) => Array.from({ length }, (_, place) => place));
  let run: number[] = [];
  tokens.forEach((token, i) => {
    run.push(token);
    const text = tokenizer.decode(run, { skipSpecialTokens: false });
    const place = places[i]!;
    const isBorder = place + 1 === maxLength || (places[i + 1] ?? 0) === 0 || learned[i + 1] !== learned[i];
    // The bytes of a character read as nothing until the last of them is there.
    if (text.endsWith('\ufffd') && !isBorder) return;
    pieces.push({ tokens: run, text, learned: learned[i] === 1 && i > 0, cut: place >= maxLength });
    run = [];
  });
  return pieces;
}
