import type { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { type Fields, isFields } from '../config/fields.js';
import { showValue } from '../config/json.js';
import { answerMarks } from './answer-marks.js';
import { byteRunDecoder } from './byte-runs.js';
import { type ChatTemplate, type ChatTemplates, chatTemplatesOf, compileChatTemplate } from './chat-template.js';

/** Text to token ids and back. */
export interface Tokenizer {
  /**
   * With `addSpecialTokens` (default true) a beginning-of-sequence token comes first and an end-of-sequence token last, where the tokenizer
   * puts them there.
   */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /**
   * Special tokens are left out unless `skipSpecialTokens` is false, but for the marks of thoughts and calls, which say what an answer is;
   * ids that are no words always.
   */
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string;
  readonly vocabSize: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  /** Whether `encode` ends texts with `eosId`, as tokenizers of models do that make vectors of texts. Default: it does not. */
  readonly endsTexts?: boolean;
  /** The id of a token by its text, e.g. `<end_of_turn>`. */
  tokenId(token: string): number | undefined;
  /** Jinja source of the chat template that came with the model. */
  readonly chatTemplate?: string;
  /** Writes conversations by it; see `renderChat`. */
  readonly applyChatTemplate?: ChatTemplate;
}

/** The texts of special tokens, as templates take them. */
export interface SpecialTexts {
  readonly bosToken: string;
  readonly eosToken: string;
}

/** Asked for at every row. */
const specialTextsOf = new WeakMap<Tokenizer, SpecialTexts>();

/** The texts of a tokenizer's special tokens. */
export function specialTexts(tokenizer: Tokenizer): SpecialTexts {
  const before = specialTextsOf.get(tokenizer);
  if (before !== undefined) return before;
  const textOf = (id: number) => tokenizer.decode([id], { skipSpecialTokens: false });
  const texts = { bosToken: textOf(tokenizer.bosId), eosToken: textOf(tokenizer.eosId) };
  specialTextsOf.set(tokenizer, texts);
  return texts;
}

/** A tokenizer file that cannot be used: what is wrong with it. */
export class TokenizerError extends Error {
  override readonly name = 'TokenizerError';
}

/** A text that is not Unicode: half of a surrogate pair, which no tokenizer has a token for. */
export class IllFormedTextError extends Error {
  override readonly name = 'IllFormedTextError';
  constructor(text: string) {
    const at = text.search(halfPair);
    const code = text.charCodeAt(at).toString(16).toUpperCase();
    super(`the text holds half of a surrogate pair, U+${code}, at character ${at + 1}: it was cut within a character`);
  }
}

const halfPair = /\p{Surrogate}/u;

/** A special token's text, which configs write as a string or as `{ content }`; undefined where there is none. @throws TokenizerError */
function tokenText(value: unknown, field: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  const text = isFields(value) ? value['content'] : value;
  if (typeof text === 'string') return text;
  throw new TokenizerError(`tokenizer_config.json: ${field} is ${showValue(value)}, not the text of a token`);
}

/** @throws TokenizerError for a token of the configuration that transformers would add to those of tokenizer.json */
function checkNamedTokens(config: Fields, added: ReadonlySet<string>): void {
  for (const [field, value] of Object.entries(config)) {
    const isList = field === 'additional_special_tokens' || field === 'extra_special_tokens';
    // What stands for padding is masked: any will do.
    if (!isList && (!field.endsWith('_token') || field === 'pad_token' || typeof value === 'boolean')) continue;
    const named: readonly unknown[] = !isList ? [value] : Object.values(value ?? {});
    for (const each of named) {
      const text = tokenText(each, field);
      if (text !== undefined && !added.has(text))
        throw new TokenizerError(
          `tokenizer_config.json: ${field} names ${showValue(text)}, which is none of the added_tokens of tokenizer.json: transformers would add it. Are the files of two models?`,
        );
    }
  }
}

/**
 * A tokenizer from what `tokenizer.json` and, if there is one, `tokenizer_config.json` hold, parsed: a BPE model with texts replaced by
 * texts around it, as all Gemma's are.
 * @throws TokenizerError naming the field
 */
export async function tokenizerFromJson(tokenizerJson: unknown, tokenizerConfigJson: unknown = {}): Promise<Tokenizer> {
  // Loaded here: what needs no texts need not load them.
  const { checkTokenizerJson } = await import('./check-tokenizer-json.js');
  const { encodeByWords } = await import('./encode-words.js');
  const { Tokenizer: Library } = await import('@huggingface/tokenizers');
  const { textEnds } = await import('./post-processor.js');
  const refuse = (problem: string): never => {
    throw new TokenizerError(`tokenizer.json: ${problem}. Is it the file of another model, or damaged?`);
  };
  const checked = checkTokenizerJson(tokenizerJson, refuse);
  if (!isFields(tokenizerConfigJson))
    throw new TokenizerError(`tokenizer_config.json holds ${showValue(tokenizerConfigJson)}, not an object`);
  const config = tokenizerConfigJson;
  const listed = config['additional_special_tokens'] ?? [];
  if (!Array.isArray(listed))
    throw new TokenizerError(`tokenizer_config.json: additional_special_tokens is ${showValue(listed)}, not a list`);
  const additional = listed.flatMap((token: unknown) => tokenText(token, 'additional_special_tokens') ?? []);
  let library: LibraryTokenizer;
  try {
    // Nothing else of the configuration: the library would have fields of other models change texts.
    library = new Library(checked, { additional_special_tokens: additional });
  } catch (error) {
    throw new TokenizerError(`tokenizer.json cannot be read: ${(error as Error).message}`);
  }
  const special = (key: string, names: readonly string[]): number => {
    const named = tokenText(config[key], key);
    for (const name of [named, ...names]) {
      const id = name === undefined ? undefined : library.token_to_id(name);
      if (id !== undefined) return id;
    }
    throw new TokenizerError(`tokenizer.json has no ${key.replace('_', ' ')} (looked for ${names.join(', ')})`);
  };
  const bosId = special('bos_token', ['<bos>', '<s>']);
  const { post_processor: postProcessor } = tokenizerJson as Fields;
  const eosId = special('eos_token', ['<eos>', '</s>']);
  const token = (id: number) => ({ id, text: library.id_to_token(id) });
  const { first, last } = textEnds(postProcessor, { bos: token(bosId), eos: token(eosId) }, refuse);
  const templates = chatTemplatesOf(config.chat_template);
  const added = library.get_added_tokens_decoder();
  checkNamedTokens(config, new Set([...added.values()].map(({ content }) => content)));
  const decodeRuns = byteRunDecoder(tokenizerJson as object);
  const isSilent = (id: number) => {
    const token = added.get(id);
    return token?.special === true && !answerMarks.includes(token.content);
  };
  const encodeText = encodeByWords(checked, (text) => library.encode(text, { add_special_tokens: false }).ids);
  const tokenizer: Tokenizer = {
    bosId,
    eosId,
    padId: special('pad_token', ['<pad>', '<unk>']),
    ...(last.length > 0 && { endsTexts: true }),
    vocabSize: library.get_vocab(true).size,
    encode: (text, { addSpecialTokens = true } = {}) => {
      if (halfPair.test(text)) throw new IllFormedTextError(text);
      const begins = addSpecialTokens ? first : [];
      const ids = text === '' ? [...begins] : encodeText(text, begins[0]);
      if (addSpecialTokens) ids.push(...last);
      return ids;
    },
    decode: (ids, { skipSpecialTokens = true } = {}) => {
      // As Hugging Face: what is no word says nothing. A model may have more words than its tokenizer.
      const known = ids.filter((id) => library.id_to_token(id) !== undefined && !(skipSpecialTokens && isSilent(id)));
      const decode = (some: number[]) =>
        library.decode(some, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
      if (known.length === 0) return '';
      return decodeRuns === undefined ? decode(known) : decodeRuns(known, decode);
    },
    tokenId: (token) => library.token_to_id(token),
  };
  return templates ? withChatTemplate(tokenizer, templates) : tokenizer;
}

/** The tokenizer with another chat template. */
export async function withChatTemplate(tokenizer: Tokenizer, templates: ChatTemplates): Promise<Tokenizer> {
  const plain = await compileChatTemplate(templates.default);
  const withTools = templates.toolUse === undefined ? plain : await compileChatTemplate(templates.toolUse);
  const applyChatTemplate: ChatTemplate = (messages, options) =>
    (options.tools === undefined ? plain : withTools)(messages, options);
  return { ...tokenizer, chatTemplate: templates.default, applyChatTemplate };
}

/** Tells text as tokens come: all together what `decode` makes of them, of each token what no later one can change. */
export function createTextStream(tokenizer: Tokenizer): { push(id: number): string; flush(): string } {
  // A run of bytes that is no UTF-8 as a whole is none in any part.
  const badByte = tokenizer.tokenId('<0xFF>');
  let ids: number[] = [];
  let told = 0;
  const decode = (extra: readonly number[] = []) => tokenizer.decode([...ids, ...extra]);
  return {
    push(id) {
      ids.push(id);
      const text = decode();
      // U+FFFD at the end: the bytes so far are no whole character.
      if (text.endsWith('\ufffd')) return '';
      if (badByte !== undefined && !decode([badByte]).startsWith(text)) return '';
      const fresh = text.slice(told);
      told = text.length;
      // Begun anew at line ends, so that a long answer is not decoded over and over.
      if (text.endsWith('\n')) {
        ids = [];
        told = 0;
      }
      return fresh;
    },
    flush: () => decode().slice(told),
  };
}
