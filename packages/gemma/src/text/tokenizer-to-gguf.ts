import { ggufTokenizers } from '../families/gguf-tokenizers.js';
import type { GgufMetadata, GgufValue } from '../families/gguf-value.js';
import { answerMarks } from './answer-marks.js';
import { mergedWordsFromTokenizerJson, piecesFromTokenizerJson } from './pieces-from-json.js';
import { TokenizerError, type Tokenizer } from './tokenizer.js';
import { type MergedWords, pieceKind, type Pieces } from './tokenizer-pieces.js';
import { piecesFromSentencePiece } from './tokenizer-sentencepiece.js';

/** Where a tokenizer was read from: the metadata of a GGUF, a SentencePiece model, or a tokenizer.json. */
export type TokenizerOrigin =
  | { readonly gguf: Readonly<Record<string, unknown>> }
  | { readonly sentencePiece: Uint8Array }
  | { readonly tokenizerJson: unknown };

export interface GgufTokenizerOptions {
  /** What llama.cpp makes the tokenizer from. Default `pieces`. */
  readonly form?: keyof typeof ggufTokenizers | undefined;
  /** Rows of the table of words: a file has as many tokens. */
  readonly vocabSize: number;
  readonly tokenizer: Pick<Tokenizer, 'bosId' | 'eosId' | 'padId' | 'tokenId'>;
  /** Ends a turn, where that is another token than the one that ends a text. */
  readonly endOfTurn?: number | undefined;
  /** Jinja. */
  readonly chatTemplate?: string | undefined;
}

/** What llama.cpp's writers put in place of a space in a merge. */
export const spaceInMerge = 'Ġ';

/** What llama.cpp's converter gives tokens that are found in texts, and those that fill a vocabulary up. */
const [addedScore, paddingScore] = [-1000, -10000];

/**
 * The `tokenizer.*` metadata of a GGUF, as llama.cpp's converter writes them: of a GGUF its own, of others their pieces with scores.
 * Source: https://github.com/ggml-org/llama.cpp, `convert_hf_to_gguf.py`, `_create_vocab_sentencepiece`.
 * @throws TokenizerError
 */
export function tokenizerToGguf(origin: TokenizerOrigin, options: GgufTokenizerOptions): GgufMetadata {
  if ('gguf' in origin) return copied(origin.gguf, options);
  const { form = 'pieces', vocabSize, tokenizer, endOfTurn, chatTemplate } = options;
  const words = wordsOf(origin, form, tokenizer);
  const { tokens, scores, kinds } = filledUp(words, vocabSize);
  const id = (value: number): GgufValue => {
    if (value < vocabSize) return ['u32', value];
    throw new TokenizerError(`token ${value} is needed, but the model has only ${vocabSize} words`);
  };
  return {
    'tokenizer.ggml.model': ['string', ggufTokenizers[form]],
    // The other kind has a way of its own to prepare texts.
    ...(form === 'pieces' && { 'tokenizer.ggml.pre': ['string', 'default'] }),
    'tokenizer.ggml.tokens': ['strings', tokens],
    'tokenizer.ggml.scores': ['f32s', scores],
    'tokenizer.ggml.token_type': ['i32s', kinds],
    ...('merges' in words && { 'tokenizer.ggml.merges': ['strings', words.merges.map(mergeText)] }),
    'tokenizer.ggml.bos_token_id': id(tokenizer.bosId),
    'tokenizer.ggml.eos_token_id': id(tokenizer.eosId),
    'tokenizer.ggml.unknown_token_id': id(words.special.unk),
    'tokenizer.ggml.padding_token_id': id(tokenizer.padId),
    ...(endOfTurn !== undefined && { 'tokenizer.ggml.eot_token_id': id(endOfTurn) }),
    'tokenizer.ggml.add_bos_token': ['bool', true],
    'tokenizer.ggml.add_eos_token': ['bool', false],
    'tokenizer.ggml.add_space_prefix': ['bool', false],
    ...(chatTemplate !== undefined && { 'tokenizer.chat_template': ['string', chatTemplate] }),
  };
}

/** @throws TokenizerError */
function wordsOf(
  origin: Exclude<TokenizerOrigin, { readonly gguf: unknown }>,
  form: keyof typeof ggufTokenizers,
  tokenizer: GgufTokenizerOptions['tokenizer'],
): Pieces | MergedWords {
  if ('sentencePiece' in origin) {
    if (form === 'pieces') return piecesFromSentencePiece(origin.sentencePiece);
    throw new TokenizerError('llama.cpp wants the merges of this tokenizer, which its tokenizer.json has');
  }
  const { bosId: bos, eosId: eos, padId: pad } = tokenizer;
  const unk = tokenizer.tokenId('<unk>');
  if (unk === undefined) throw new TokenizerError('tokenizer.json has no <unk>, which llama.cpp wants');
  const read = form === 'pieces' ? piecesFromTokenizerJson : mergedWordsFromTokenizerJson;
  const words = read(origin.tokenizerJson, { unk, bos, eos, pad });
  // llama.cpp leaves special tokens out of answers.
  const isTold = (id: number) => words.kinds[id] === pieceKind.control && answerMarks.includes(words.tokens[id]!);
  return { ...words, kinds: Array.from(words.kinds, (kind, id) => (isTold(id) ? pieceKind.userDefined : kind)) };
}

/** A merge in one text: its parts are told apart by a space, and have another sign for theirs. */
const mergeText = (parts: readonly [string, string]) =>
  parts.map((part) => part.replaceAll(' ', spaceInMerge)).join(' ');

/** As many as the model has words. What is beyond them it cannot read or say. */
function filledUp(words: Pieces | MergedWords, vocabSize: number) {
  const { tokens: pieces, kinds: types } = words;
  // Nothing goes by the scores of merges; llama.cpp's converter gives all of them that of an added token.
  const given = 'scores' in words ? words.scores : undefined;
  const lost = pieces.find((_, id) => id >= vocabSize && types[id] === pieceKind.byte);
  if (lost !== undefined)
    throw new TokenizerError(`the model has ${vocabSize} words, too few for ${lost}, which llama.cpp wants`);
  const [tokens, scores, kinds]: [string[], number[], number[]] = [[], [], []];
  for (let i = 0; i < vocabSize; i++) {
    const piece = pieces[i];
    const kind = types[i] ?? pieceKind.unused;
    const isAdded = kind === pieceKind.control || kind === pieceKind.userDefined;
    // Runs of spaces are found in texts as they are.
    tokens.push(
      piece === undefined ? `[PAD${i}]` : kind === pieceKind.userDefined ? piece.replaceAll('▁', ' ') : piece,
    );
    scores.push(piece === undefined ? paddingScore : isAdded ? addedScore : (given?.[i] ?? addedScore));
    kinds.push(kind);
  }
  return { tokens, scores, kinds };
}

/** Whole numbers are counts and ids, but in these lists. */
const lists: Readonly<Record<string, 'f32s' | 'i32s'>> = {
  'tokenizer.ggml.scores': 'f32s',
  'tokenizer.ggml.token_type': 'i32s',
};

/** A GGUF's own keys; a chat template only where it has none. */
function copied(metadata: Readonly<Record<string, unknown>>, { chatTemplate }: GgufTokenizerOptions): GgufMetadata {
  const copy: Record<string, GgufValue> = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (!key.startsWith('tokenizer.')) continue;
    const typed = typedValue(key, value);
    if (typed === undefined) throw new TokenizerError(`the GGUF file's '${key}' is of a type that is not written`);
    copy[key] = typed;
  }
  if (chatTemplate !== undefined) copy['tokenizer.chat_template'] ??= ['string', chatTemplate];
  return copy;
}

function typedValue(key: string, value: unknown): GgufValue | undefined {
  if (typeof value === 'string') return ['string', value];
  if (typeof value === 'boolean') return ['bool', value];
  if (typeof value === 'number') return Number.isInteger(value) ? [value < 0 ? 'i32' : 'u32', value] : ['f32', value];
  if (!Array.isArray(value)) return undefined;
  if (value.every((each) => typeof each === 'string')) return ['strings', value];
  const type = lists[key] ?? 'i32s';
  const isOne = (each: unknown) => typeof each === 'number' && (type === 'f32s' || Number.isInteger(each));
  return value.every(isOne) ? [type, value as number[]] : undefined;
}
