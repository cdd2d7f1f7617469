import type { DataOptions } from '../data/data-options.js';

/** Some tokens of a row that read as one text: one, or those whose bytes make up a character. */
export interface ShownPiece {
  readonly tokens: readonly number[];
  readonly text: string;
  /** The model learns to write it. */
  readonly learned: boolean;
  /** Beyond `maxLength`. */
  readonly cut: boolean;
}

/** A row as the model sees it. */
export interface ShownRow {
  readonly file: string;
  /** Line, or number in a list. */
  readonly line: number;
  readonly form: string;
  /** Pictures before its text: their names, where they have some. */
  readonly pictures: readonly string[];
  /** Places that these take. */
  readonly patches: number;
  /** Tokens of its text, those beyond `maxLength` included. */
  readonly length: number;
  readonly learned: number;
  readonly pieces: readonly ShownPiece[];
}

/** Numbers of tokens. */
export interface LengthSummary {
  readonly min: number;
  /** Between two rows their mean, as numpy has it. */
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

/** What is told of the rows that are learned from, or held out. */
export interface DataPart {
  readonly rows: number;
  /** Rows by form. */
  readonly forms: Readonly<Record<string, number>>;
  /** Of each row's text, before anything is cut. */
  readonly lengths: LengthSummary;
  /** Tokens of all rows, before anything is cut. */
  readonly tokens: number;
  /** Of these the model learns so many. */
  readonly learned: number;
  /** Rows of more than `maxLength` tokens. */
  readonly tooLong: number;
  /** Tokens beyond it. */
  readonly cut: number;
  /** Rows with nothing to learn within `maxLength`. */
  readonly nothingToLearn: number;
  /** Rows that say what an earlier one says, token by token. */
  readonly duplicates: number;
}

/** What a model will see of some data. */
export interface DataInspection {
  /** The file, folder or data set. */
  readonly source: string;
  readonly maxLength: number;
  readonly tooLong: DataOptions['tooLong'];
  readonly lossOn: DataOptions['lossOn'];
  readonly train: DataPart;
  /** Rows to evaluate on; null where there are none. */
  readonly held: DataPart | null;
  /** Rows to evaluate on that are learned from too. */
  readonly heldInTrain: number;
  /** The first rows that are learned from. */
  readonly rows: readonly ShownRow[];
  readonly notices: readonly string[];
}
