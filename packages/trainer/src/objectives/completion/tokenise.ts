import {
  ChatTemplateError,
  chatTemplateOf,
  checkPictureTokens,
  contentText,
  encodeChat,
  encodeChatPrompt,
  IllFormedTextError,
  lastAnswer,
  type Model,
  type PromptForm,
  PromptImagesError,
  renderChat,
  specialTexts,
  stopTokensOf,
  thoughtsIn,
  type Tokenizer,
  turnsOfModel,
  withoutEnding,
  withoutOpening,
} from '@lapidary/gemma';
import type { DataOptions } from '../../data/data-options.js';
import { DatasetError, EmptyDatasetError } from '../../data/errors.js';
import type { Example } from '../objective.js';
import { countPictures, type Pictures } from './pictures.js';
import { imagesOf, type CompletionRow, type MessagesRow, type TextualRow } from './rows.js';

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
  /** Where rows are packed: each is a segment of its own, with positions from 0. */
  readonly documents?: readonly CompletionExample[];
}

/** How rows become tokens. */
export interface TokeniseOptions {
  readonly maxLength: number;
  readonly lossOn: DataOptions['lossOn'];
  /** What to do with rows of more than `maxLength` tokens. */
  readonly tooLong: 'error' | 'truncate' | 'skip';
  /** For messages. */
  readonly file: string;
  /** How prompts are written, and how many words there are: ids beyond are refused, since the tokenizer is another model's. */
  readonly model: Pick<Model, 'name' | 'prompt' | 'vision' | 'vocabSize' | 'eosTokenIds'>;
}

/** How a conversation is encoded for a model; null for one that knows none. @throws ChatTemplateError for one that lacks its template */
function chatOptions(
  { tools, chat_template_kwargs: kwargs }: MessagesRow,
  tokenizer: Tokenizer,
  model: TokeniseOptions['model'],
) {
  const template = chatTemplateOf(model, tokenizer);
  const stopTokens = stopTokensOf(model, tokenizer);
  const { pictureText } = model.prompt;
  return template && { template, stopTokens, pictureText, ...(tools && { tools }), ...(kwargs && { kwargs }) };
}

/** The prompt's tokens as they are in training: what generation begins with. */
export function promptTokens(row: TextualRow, tokenizer: Tokenizer, model: TokeniseOptions['model']): number[] {
  if ('messages' in row) {
    const options = chatOptions(row, tokenizer, model);
    const asked = row.messages.slice(0, turnsOfModel(row.messages).at(-1));
    if (options) return encodeChatPrompt(tokenizer, asked, options);
  }
  if ('prompt' in row) return model.prompt.encodePrompt(row.prompt, tokenizer, imagesOf(row).length);
  return 'text' in row ? encodeText(row.text, tokenizer, model.prompt).tokens.slice(0, 8) : [tokenizer.bosId];
}

/** The answer in the data, calls as the chat template writes them; null where there is none. */
export function expectedAnswer(row: TextualRow, tokenizer: Tokenizer, model: TokeniseOptions['model']): string | null {
  if ('prompt' in row) return row.completion;
  if (!('messages' in row)) return null;
  const last = turnsOfModel(row.messages).at(-1);
  if (last === undefined) return null;
  const options = chatOptions(row, tokenizer, model);
  const message = row.messages[last]!;
  const isText = (message.tool_calls?.length ?? 0) === 0 && thoughtsIn(message) === undefined;
  return !isText && options ? lastAnswer(tokenizer, row.messages, options) : contentText(message, last);
}

/** What a row had that was put right; told once a file. */
interface PutRight {
  /** It began with `<bos>` or ended with `<eos>`, which every row has anyway. */
  readonly marks: boolean;
  /** Its system message went before the first user's. */
  readonly system: boolean;
}

type EncodeRowOptions = Pick<TokeniseOptions, 'lossOn' | 'model' | 'file'>;

interface EncodedRow {
  readonly tokens: readonly number[];
  /** 1 where the token is learned. */
  readonly learned: Uint8Array;
  readonly prefix: number;
  readonly putRight: PutRight;
}

const nothing: PutRight = { marks: false, system: false };
/** All tokens from one on are learned. */
const learnedFrom = (first: number, tokens: readonly number[]) => new Uint8Array(tokens.length).fill(1, first);

/** BOS, prompt, completion, EOS; learned: the completion and EOS, or the model's turns, or all of a text. */
function encodeRow(row: TextualRow, tokenizer: Tokenizer, { lossOn, model, file }: EncodeRowOptions): EncodedRow {
  const { prompt: form } = model;
  if ('prompt' in row) return encodeCompletion(row, countPictures(row, model), tokenizer, form, lossOn);
  const chat = 'messages' in row ? chatOptions(row, tokenizer, model) : undefined;
  if (!form.takesChat || chat === null) {
    const message = `this model learns from rows such as ${form.rowExample}; this one has no prompt`;
    throw new DatasetError({ file: row.file ?? file, line: row.line, message });
  }
  countPictures(row, model);
  if ('messages' in row && chat) {
    const messages = lossOn === 'completion' ? row.messages : withoutEarlier(row.messages, lossOn);
    const { tokens, lossMask, systemFolded } = encodeChat(tokenizer, messages, chat);
    const learned = lossOn === 'all' ? learnedFrom(1, tokens) : Uint8Array.from(lossMask, Number);
    return { tokens, learned, prefix: 0, putRight: { ...nothing, system: systemFolded } };
  }
  const { tokens, marks } = encodeText('text' in row ? row.text : '', tokenizer, form);
  return { tokens, learned: learnedFrom(1, tokens), prefix: 0, putRight: { ...nothing, marks } };
}

/** Of the model's turns only the last is to be told from the rest, if that is to be learned at all; none, where everything is learned. */
function withoutEarlier(messages: MessagesRow['messages'], lossOn: 'last' | 'all'): MessagesRow['messages'] {
  const turns = turnsOfModel(messages);
  const before = new Set(lossOn === 'last' ? turns.slice(0, -1) : turns);
  return messages.map((message, i) => (before.has(i) ? { ...message, weight: 0 } : message));
}

/** BOS, the text, EOS: once each. */
function encodeText(text: string, tokenizer: Tokenizer, form: PromptForm): { tokens: number[]; marks: boolean } {
  const opened = withoutOpening(text, form.opening(tokenizer));
  const ended = withoutEnding(opened.text, specialTexts(tokenizer).eosToken);
  return {
    tokens: [...form.encodePrompt(ended.text, tokenizer), tokenizer.eosId],
    marks: opened.found + ended.found > 0,
  };
}

function encodeCompletion(
  row: Pick<CompletionRow, 'prompt' | 'completion'>,
  pictures: number,
  tokenizer: Tokenizer,
  form: PromptForm,
  lossOn: TokeniseOptions['lossOn'],
): EncodedRow {
  const prompt = form.encodePrompt(row.prompt, tokenizer, pictures);
  const { text, found } = withoutEnding(row.completion, specialTexts(tokenizer).eosToken);
  // Encoded by itself, so that its tokens do not depend on how the prompt ends.
  const tokens = [...prompt, ...tokenizer.encode(text, { addSpecialTokens: false }), tokenizer.eosId];
  // What sees all of the prefix cannot learn to predict it.
  const isAll = lossOn === 'all' && !form.isPrefixBidirectional;
  return {
    tokens,
    learned: learnedFrom(isAll ? 1 : prompt.length, tokens),
    prefix: form.isPrefixBidirectional ? prompt.length : 0,
    putRight: { ...nothing, marks: found + withoutOpening(row.prompt, form.opening(tokenizer)).found > 0 },
  };
}

/** What chat templates call whether the model is to think, as in transformers. */
const thinks = 'enable_thinking';

/** Whether a conversation teaches thoughts that its template does not ask for, though it could. */
function isUnasked(row: MessagesRow, tokenizer: Tokenizer, model: TokeniseOptions['model']): boolean {
  const { messages, chat_template_kwargs: kwargs } = row;
  const isSaid = kwargs !== null && kwargs !== undefined && thinks in kwargs;
  const last = turnsOfModel(messages).at(-1);
  if (isSaid || last === undefined || thoughtsIn(messages[last]!) === undefined) return false;
  const chat = tokenizer.chatTemplate?.includes(thinks) ? chatOptions(row, tokenizer, model) : null;
  if (!chat) return false;
  const asking = { ...chat, kwargs: { ...kwargs, [thinks]: true } };
  return renderChat(tokenizer, messages, asking) !== renderChat(tokenizer, messages, chat);
}

/** Of how many rows something was put right, left out or cut; see `describeTokenised`. */
export type TokeniseCounts = Readonly<Record<keyof typeof noCounts, number>>;

const noCounts = { tooLong: 0, cut: 0, emptied: 0, marks: 0, system: 0, ownTemplate: 0, unasked: 0 };

/** A row as tokens, before anything is cut. @throws DatasetError naming file and line */
export function encodeTextualRow(row: TextualRow, tokenizer: Tokenizer, options: EncodeRowOptions): EncodedRow {
  const { file, model } = options;
  const encoded = named(file, row, () => encodeRow(row, tokenizer, options));
  const { vision } = model;
  if (vision) named(file, row, () => checkPictureTokens(encoded.tokens, vision, imagesOf(row).length));
  const beyond = encoded.tokens.find((id) => id >= model.vocabSize && id !== vision?.imageToken);
  if (beyond !== undefined)
    throw new DatasetError({
      file: row.file ?? file,
      line: row.line,
      message: `this row has the token ${beyond}, but the model has ${model.vocabSize} words; the tokenizer is not this model's`,
    });
  // What stands for a picture is nothing to learn.
  encoded.tokens.forEach((id, i) => {
    if (id === vision?.imageToken) encoded.learned[i] = 0;
  });
  return encoded;
}

/** The first tokens of a row, with at most so many of text. */
export function cutText(tokens: readonly number[], maxLength: number, { vision }: Pick<Model, 'vision'>): number[] {
  const end = endOfText(tokens, maxLength, vision?.imageToken);
  return tokens.slice(0, end);
}

/** Where the token after the first `maxLength` of text stands; their number where there is none. */
function endOfText(tokens: readonly number[], maxLength: number, imageToken: number | undefined): number {
  if (tokens.length <= maxLength) return tokens.length;
  let text = 0;
  const end = tokens.findIndex((id) => id !== imageToken && ++text > maxLength);
  return end < 0 ? tokens.length : end;
}

/** Makes examples of rows, and counts of how many something was put right, left out or cut. */
export class Tokenising {
  readonly #counts = { ...noCounts };
  readonly #tokenizer: Tokenizer;
  readonly #options: TokeniseOptions;

  constructor(tokenizer: Tokenizer, options: TokeniseOptions) {
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  get counts(): TokeniseCounts {
    return this.#counts;
  }

  /** A row as an example, its pictures still to come; undefined where it is left out. @throws DatasetError naming file and line */
  add(row: TextualRow): CompletionExample | undefined {
    const { maxLength, tooLong, file, model } = this.#options;
    const counts = this.#counts;
    const fail = (message: string): never => {
      throw new DatasetError({ file: row.file ?? file, line: row.line, message });
    };
    const encoded = encodeTextualRow(row, this.#tokenizer, this.#options);
    const { imageToken, tokensPerImage = 0 } = model.vision ?? {};
    const patches = imagesOf(row).length * tokensPerImage;
    const length = endOfText(encoded.tokens, maxLength, imageToken);
    const isLong = encoded.tokens.length > length;
    if (isLong) {
      if (tooLong === 'error') {
        fail(
          `this row has ${encoded.tokens.length - patches} tokens${patches > 0 ? ` beside ${patches} places of pictures` : ''}, but maxLength is ${maxLength}. Raise maxLength, shorten the row, or set tooLong to 'truncate' or 'skip'.`,
        );
      }
      // A row that loses a picture would be another row.
      if (tooLong === 'skip' || (patches > 0 && encoded.tokens.includes(imageToken!, length))) {
        counts.tooLong++;
        return undefined;
      }
    }
    const tokens = new Int32Array(isLong ? encoded.tokens.slice(0, length) : encoded.tokens);
    const lossMask = encoded.learned.subarray(0, length);
    if (!lossMask.includes(1, 1)) {
      if (!isLong) fail('there is nothing to learn in this row');
      counts.emptied++;
      return undefined;
    }
    if (isLong) counts.cut++;
    if (encoded.putRight.marks) counts.marks++;
    if (encoded.putRight.system) counts.system++;
    if ('messages' in row && this.#tokenizer.applyChatTemplate === undefined) counts.ownTemplate++;
    if ('messages' in row && isUnasked(row, this.#tokenizer, this.#options.model)) counts.unasked++;
    return { row, length, patches, tokens, lossMask, prefix: encoded.prefix, pictures: undefined };
  }
}

/** @throws EmptyDatasetError where nothing is left of rows */
export function checkNotEmpty(examples: readonly Example[], rows: number, file: string, maxLength: number): void {
  if (examples.length === 0)
    throw new EmptyDatasetError({ file, message: `none of the ${rows} rows fits into maxLength ${maxLength}` });
}

/**
 * Every row as an example, their pictures still to come, and of how many something was put right, left out or cut.
 * @throws DatasetError naming file and line; EmptyDatasetError
 */
export function tokeniseRows(
  rows: readonly TextualRow[],
  tokenizer: Tokenizer,
  options: TokeniseOptions,
): { examples: CompletionExample[]; counts: TokeniseCounts } {
  const tokenising = new Tokenising(tokenizer, options);
  const examples = rows.flatMap((row) => tokenising.add(row) ?? []);
  checkNotEmpty(examples, rows.length, options.file, options.maxLength);
  return { examples, counts: tokenising.counts };
}

/** Errors of a conversation or a prompt with the row's place. */
function named<T>(source: string, { line, file = source }: TextualRow, encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    const isOfRow = [ChatTemplateError, IllFormedTextError, PromptImagesError].some((kind) => error instanceof kind);
    if (!isOfRow) throw error;
    throw new DatasetError({ file, line, message: (error as Error).message }, { cause: error });
  }
}

/** What became of the rows of one file, all its parts together, in sentences. */
export function describeTokenised(parts: readonly TokeniseCounts[], maxLength: number): string[] {
  const counts = { ...noCounts };
  for (const part of parts)
    for (const key of Object.keys(noCounts) as (keyof typeof noCounts)[]) counts[key] += part[key];
  const rows = (count: number) => (count === 1 ? '1 row' : `${count} rows`);
  const were = (count: number) => (count === 1 ? 'was' : 'were');
  const notices: [number, (count: number) => string][] = [
    [counts.tooLong, (n) => `${rows(n)} of more than ${maxLength} tokens ${were(n)} left out.`],
    [counts.cut, (n) => `${rows(n)} ${were(n)} cut to ${maxLength} tokens.`],
    [
      counts.emptied,
      (n) =>
        `${rows(n)} ${were(n)} left out: cut to ${maxLength} tokens, nothing to learn is left of ${n === 1 ? 'it' : 'them'}.`,
    ],
    [
      counts.marks,
      (n) =>
        `${rows(n)} had marks of the text's beginning or end (<bos>, <eos>, <image>) that are put there anyway; they stand there once.`,
    ],
    [
      counts.system,
      (n) => `the chat template knows no system, so in ${rows(n)} its message stands before the first user's.`,
    ],
    [
      counts.unasked,
      (n) =>
        `${rows(n)} of messages ${n === 1 ? 'has' : 'have'} thoughts, but the chat template is not told that the model is to think: say \`data.chatTemplateKwargs\`: { ${thinks}: true }, or false where it is to think all the same.`,
    ],
    [
      counts.ownTemplate,
      (n) =>
        `the model came without a chat template, so ${rows(n)} of messages ${were(n)} written in the turns of its family; to use another, put a chat_template.jinja beside the model.`,
    ],
  ];
  return notices.flatMap(([count, text]) => (count > 0 ? [text(count)] : []));
}
