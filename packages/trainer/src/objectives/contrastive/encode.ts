import {
  cutTokens,
  EmbeddingError,
  IllFormedTextError,
  promptOf,
  type EmbeddingHead,
  type Tokenizer,
} from '@lapidary/gemma';
import { DatasetError, EmptyDatasetError } from '../../data/errors.js';
import { ConfigError } from '../../errors/errors.js';
import type { Example, RowSource, RunData } from '../objective.js';
import type { ContrastiveRow } from './rows.js';

/** The texts of a row as tokens: anchor, positive, negatives. `length` is that of the longest. */
export interface ContrastiveExample extends Example {
  readonly row: ContrastiveRow;
  readonly texts: readonly Int32Array[];
}

/** What stands before texts. */
export interface Prompts {
  readonly query: string;
  readonly document: string;
}

/** The prompts of a run: a model's own, one of its others by name, or a text. @throws ConfigError for a word that is no prompt's name */
export function promptsOf(
  { prompts }: Pick<EmbeddingHead, 'prompts'>,
  { queryPrompt, documentPrompt }: { readonly queryPrompt: string | null; readonly documentPrompt: string | null },
): Prompts {
  const read = (field: string, given: string | null, own: string): string => {
    if (given === null) return prompts[own] ?? '';
    try {
      return promptOf(prompts, given);
    } catch (error) {
      if (!(error instanceof EmbeddingError)) throw error;
      const allowed = `${Object.keys(prompts).join(', ')}, or a text with a space in it, such as 'query: '`;
      throw new ConfigError({ problems: [{ path: `objective.${field}`, found: `'${given}'`, allowed }] });
    }
  };
  return {
    query: read('queryPrompt', queryPrompt, 'query'),
    document: read('documentPrompt', documentPrompt, 'document'),
  };
}

interface EncodeOptions {
  readonly tokenizer: Tokenizer;
  readonly prompts: Prompts;
  readonly maxLength: number;
}

/** The texts of a row with their prompts, as tokens that are not cut. @throws DatasetError naming file and line */
export function encodeTexts(
  { row, file }: { readonly row: ContrastiveRow; readonly file: string },
  { tokenizer, prompts }: Pick<EncodeOptions, 'tokenizer' | 'prompts'>,
): number[][] {
  const { anchor, positive, negatives } = row;
  const texts = [prompts.query + anchor, ...[positive, ...negatives].map((text) => prompts.document + text)];
  try {
    return texts.map((text) => tokenizer.encode(text));
  } catch (error) {
    if (!(error instanceof IllFormedTextError)) throw error;
    throw new DatasetError({ file: row.file ?? file, line: row.line, message: error.message }, { cause: error });
  }
}

/** Every row of both sides as an example. @throws DatasetError naming file and line; EmptyDatasetError */
export function encodeRows(
  sides: { readonly train: RowSource<ContrastiveRow>; readonly held: RowSource<ContrastiveRow> },
  options: EncodeOptions,
): RunData<ContrastiveExample> {
  const { maxLength } = options;
  const notices: string[] = [];
  const examplesOf = ({ rows, file, options: { tooLong } }: RowSource<ContrastiveRow>): ContrastiveExample[] => {
    let [shortened, leftOut] = [0, 0];
    const examples = rows.flatMap((row): ContrastiveExample[] => {
      const texts = encodeTexts({ row, file }, options);
      const longest = Math.max(...texts.map(({ length }) => length));
      if (longest > maxLength && tooLong === 'error')
        throw new DatasetError({
          file: row.file ?? file,
          line: row.line,
          message: `a text of this row has ${longest} tokens, its prompt among them, but maxLength is ${maxLength}. Raise maxLength, or set tooLong to 'truncate' or 'skip'.`,
        });
      if (longest > maxLength && tooLong === 'skip') {
        leftOut++;
        return [];
      }
      if (longest > maxLength) shortened++;
      const kept = texts.map((tokens) => Int32Array.from(cutTokens(tokens, maxLength, options.tokenizer.eosId)));
      return [{ row, length: Math.min(longest, maxLength), patches: 0, texts: kept }];
    });
    const told = (count: number, what: string) =>
      `${file}: ${count === 1 ? '1 row was' : `${count} rows were`} ${what}`;
    if (leftOut > 0) notices.push(told(leftOut, `left out: a text of more than ${maxLength} tokens.`));
    if (shortened > 0) notices.push(told(shortened, `cut to ${maxLength} tokens a text.`));
    if (examples.length === 0 && rows.length > 0)
      throw new EmptyDatasetError({
        file,
        message: `none of the ${rows.length} rows fits into maxLength ${maxLength}`,
      });
    return examples;
  };
  return { train: examplesOf(sides.train), held: examplesOf(sides.held), notices };
}
