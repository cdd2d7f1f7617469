import { encodeChat, paliGemmaPrompt, type Tokenizer } from '@lapidary/gemma';
import { DatasetError, EmptyDatasetError } from './errors.js';
import type { Row } from './read-rows.js';

/** A row as tokens. */
export interface Example {
  readonly tokens: Int32Array;
  /** 1 where the token is to be learned. */
  readonly lossMask: Uint8Array;
  /** How many of the first tokens see each other in both directions (PaliGemma's prompt); 0: all causal. */
  readonly prefix: number;
  readonly row: Row;
}

export interface TokeniseOptions {
  readonly maxLength: number;
  readonly lossOn: 'completion' | 'all';
  /** What to do with rows of more than `maxLength` tokens. */
  readonly tooLong: 'error' | 'truncate' | 'skip';
  /** For messages. */
  readonly file: string;
  /** How prompts are written: Gemma's, or PaliGemma's, which are a prefix that ends with a new line. Default Gemma's. */
  readonly style?: PromptStyle;
  /** Of the model. Ids beyond it are refused: the tokenizer is another model's. Default: not checked. */
  readonly vocabSize?: number;
}

export type PromptStyle = 'gemma' | 'paligemma';

/** The prompt's tokens as they are in training: what generation begins with. */
export function promptTokens(row: Row, tokenizer: Tokenizer, style: PromptStyle = 'gemma'): number[] {
  if (style === 'paligemma' && 'prompt' in row) return paliGemmaPrompt(row.prompt, tokenizer);
  if ('messages' in row) {
    const { tokens, lossMask } = encodeChat(tokenizer, row.messages);
    const last = lossMask.lastIndexOf(true);
    let start = last;
    while (start > 0 && lossMask[start - 1]) start--;
    return tokens.slice(0, Math.max(start, 1));
  }
  return 'prompt' in row ? tokenizer.encode(row.prompt) : tokenizer.encode(row.text).slice(0, 8);
}

/** BOS, prompt, completion, EOS; learned: the completion and EOS, or the model's turns, or all of a text. */
function encodeRow(
  row: Row,
  tokenizer: Tokenizer,
  { lossOn, style, file }: TokeniseOptions,
): { tokens: number[]; learned: boolean[]; prefix?: number } {
  if (style === 'paligemma') {
    if (!('prompt' in row)) {
      const message = 'PaliGemma learns from rows of {image, prompt, completion}; this one has none of them';
      throw new DatasetError({ file, line: row.line, message });
    }
    const prompt = paliGemmaPrompt(row.prompt, tokenizer);
    const tokens = [...prompt, ...tokenizer.encode(row.completion, { addSpecialTokens: false }), tokenizer.eosId];
    // What sees all of the prefix cannot learn to predict it.
    return { tokens, learned: tokens.map((_, i) => i >= prompt.length), prefix: prompt.length };
  }
  if ('messages' in row) {
    const { tokens, lossMask } = encodeChat(tokenizer, row.messages);
    return { tokens, learned: lossOn === 'all' ? tokens.map((_, i) => i > 0) : lossMask };
  }
  if ('prompt' in row) {
    const prompt = tokenizer.encode(row.prompt);
    // Encoded by itself, so that its tokens do not depend on how the prompt ends.
    const completion = [...tokenizer.encode(row.completion, { addSpecialTokens: false }), tokenizer.eosId];
    const tokens = [...prompt, ...completion];
    return { tokens, learned: tokens.map((_, i) => (lossOn === 'all' ? i > 0 : i >= prompt.length)) };
  }
  const tokens = [...tokenizer.encode(row.text), tokenizer.eosId];
  return { tokens, learned: tokens.map((_, i) => i > 0) };
}

/** Every row as an example, and how many were left out or cut. @throws DatasetError, EmptyDatasetError */
export function tokeniseRows(
  rows: readonly Row[],
  tokenizer: Tokenizer,
  options: TokeniseOptions,
): { examples: Example[]; skipped: number; truncated: number } {
  const { maxLength, tooLong, file } = options;
  const examples: Example[] = [];
  let skipped = 0;
  let truncated = 0;
  for (const row of rows) {
    const encoded = encodeRow(row, tokenizer, options);
    const beyond = encoded.tokens.find((id) => id >= (options.vocabSize ?? Infinity));
    if (beyond !== undefined) {
      const message = `this row has the token ${beyond}, but the model has ${options.vocabSize} words; the tokenizer is not this model's`;
      throw new DatasetError({ file, line: row.line, message });
    }
    let { tokens, learned } = encoded;
    if (tokens.length > maxLength) {
      if (tooLong === 'error') {
        throw new DatasetError({
          file,
          line: row.line,
          message: `this row has ${tokens.length} tokens, but maxLength is ${maxLength}. Raise maxLength, shorten the row, or set tooLong to 'truncate' or 'skip'.`,
        });
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
      throw new DatasetError({
        file,
        line: row.line,
        message: `there is nothing to learn in this row${tooLong === 'truncate' ? ' (its completion was cut off)' : ''}`,
      });
    }
    examples.push({
      tokens: Int32Array.from(tokens),
      lossMask: Uint8Array.from(learned, Number),
      prefix: encoded.prefix ?? 0,
      row,
    });
  }
  if (examples.length === 0)
    throw new EmptyDatasetError({ file, message: `none of the ${rows.length} rows fits into maxLength ${maxLength}` });
  return { examples, skipped, truncated };
}
