import type { Model, PromptForm, Tokenizer } from '@lapidary/gemma';
import { DatasetError, EmptyDatasetError } from '../../data/errors.js';
import type { Example } from '../objective.js';
import type { Pictures } from './pictures.js';
import type { CompletionRow, TextualRow } from './rows.js';

/** A row as tokens. */
export interface CompletionExample extends Example {
  readonly row: TextualRow;
  readonly tokens: Int32Array;
  /** 1 where the token is to be learned. */
  readonly lossMask: Uint8Array;
  /** How many of the first tokens see each other in both directions (prompts of some models); 0: all causal. */
  readonly prefix: number;
  /** Those of all rows of its source; undefined where there are none. */
  readonly pictures: Pictures | undefined;
}

/** How rows become tokens. */
export interface TokeniseOptions {
  readonly maxLength: number;
  readonly lossOn: 'completion' | 'all';
  /** What to do with rows of more than `maxLength` tokens. */
  readonly tooLong: 'error' | 'truncate' | 'skip';
  /** For messages. */
  readonly file: string;
  /** How prompts are written, and how many words there are: ids beyond are refused, since the tokenizer is another model's. */
  readonly model: Pick<Model, 'prompt' | 'vocabSize'>;
}

/** The prompt's tokens as they are in training: what generation begins with. */
export function promptTokens(row: TextualRow, tokenizer: Tokenizer, form: PromptForm): number[] {
  if ('messages' in row && form.chat) {
    const { tokens, lossMask } = form.chat.encode(tokenizer, row.messages);
    const last = lossMask.lastIndexOf(true);
    let start = last;
    while (start > 0 && lossMask[start - 1]) start--;
    return tokens.slice(0, Math.max(start, 1));
  }
  if ('prompt' in row) return form.encodePrompt(row.prompt, tokenizer);
  return 'text' in row ? tokenizer.encode(row.text).slice(0, 8) : [tokenizer.bosId];
}

interface EncodedRow {
  readonly tokens: readonly number[];
  readonly learned: readonly boolean[];
  readonly prefix: number;
}

/** BOS, prompt, completion, EOS; learned: the completion and EOS, or the model's turns, or all of a text. */
function encodeRow(row: TextualRow, tokenizer: Tokenizer, { lossOn, model, file }: TokeniseOptions): EncodedRow {
  const { prompt: form } = model;
  const all = (tokens: readonly number[]) => tokens.map((_, i) => i > 0);
  if ('prompt' in row) return encodeCompletion(row, tokenizer, form, lossOn);
  if (form.chat === null) {
    const message = `this model learns from rows such as ${form.rowExample}; this one has no prompt`;
    throw new DatasetError({ file, line: row.line, message });
  }
  if ('messages' in row) {
    const { tokens, lossMask } = form.chat.encode(tokenizer, row.messages);
    return { tokens, learned: lossOn === 'all' ? all(tokens) : lossMask, prefix: 0 };
  }
  const tokens = [...tokenizer.encode(row.text), tokenizer.eosId];
  return { tokens, learned: all(tokens), prefix: 0 };
}

function encodeCompletion(
  row: Pick<CompletionRow, 'prompt' | 'completion'>,
  tokenizer: Tokenizer,
  form: PromptForm,
  lossOn: TokeniseOptions['lossOn'],
): EncodedRow {
  const prompt = form.encodePrompt(row.prompt, tokenizer);
  // Encoded by itself, so that its tokens do not depend on how the prompt ends.
  const tokens = [...prompt, ...tokenizer.encode(row.completion, { addSpecialTokens: false }), tokenizer.eosId];
  // What sees all of the prefix cannot learn to predict it.
  const isAll = lossOn === 'all' && !form.isPrefixBidirectional;
  return {
    tokens,
    learned: tokens.map((_, i) => (isAll ? i > 0 : i >= prompt.length)),
    prefix: form.isPrefixBidirectional ? prompt.length : 0,
  };
}

/** Every row as an example without pictures, and how many were left out or cut. @throws DatasetError, EmptyDatasetError */
export function tokeniseRows(
  rows: readonly TextualRow[],
  tokenizer: Tokenizer,
  options: TokeniseOptions,
): { examples: CompletionExample[]; skipped: number; truncated: number } {
  const { maxLength, tooLong, file, model } = options;
  const examples: CompletionExample[] = [];
  let skipped = 0;
  let truncated = 0;
  for (const row of rows) {
    const fail = (message: string): never => {
      throw new DatasetError({ file, line: row.line, message });
    };
    const encoded = encodeRow(row, tokenizer, options);
    const beyond = encoded.tokens.find((id) => id >= model.vocabSize);
    if (beyond !== undefined) {
      fail(
        `this row has the token ${beyond}, but the model has ${model.vocabSize} words; the tokenizer is not this model's`,
      );
    }
    let { tokens, learned } = encoded;
    if (tokens.length > maxLength) {
      if (tooLong === 'error') {
        fail(
          `this row has ${tokens.length} tokens, but maxLength is ${maxLength}. Raise maxLength, shorten the row, or set tooLong to 'truncate' or 'skip'.`,
        );
      }
      if (tooLong === 'skip') {
        skipped++;
        continue;
      }
      truncated++;
      tokens = tokens.slice(0, maxLength);
      learned = learned.slice(0, maxLength);
    }
    if (!learned.some((l, i) => l && i > 0)) {
      fail(`there is nothing to learn in this row${tooLong === 'truncate' ? ' (its completion was cut off)' : ''}`);
    }
    examples.push({
      row,
      length: tokens.length,
      patches: 0,
      tokens: Int32Array.from(tokens),
      lossMask: Uint8Array.from(learned, Number),
      prefix: encoded.prefix,
      pictures: undefined,
    });
  }
  if (examples.length === 0)
    throw new EmptyDatasetError({ file, message: `none of the ${rows.length} rows fits into maxLength ${maxLength}` });
  return { examples, skipped, truncated };
}
