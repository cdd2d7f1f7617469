import { isFields } from '../config/fields.js';
import { showValue } from '../config/json.js';
import { ggufTokenizers } from '../families/gguf-tokenizers.js';
import { TokenizerError, type Tokenizer } from './tokenizer.js';
import {
  pieceKind,
  type Pieces,
  type TokenizerFiles,
  tokenizerFilesFromPieces,
  tokenizerFromFiles,
} from './tokenizer-pieces.js';
import { spaceInMerge } from './tokenizer-to-gguf.js';

function list<T>(
  metadata: Readonly<Record<string, unknown>>,
  key: string,
  isOne: (value: unknown) => value is T,
): readonly T[] {
  const value = metadata[key];
  if (!Array.isArray(value))
    throw new TokenizerError(`the GGUF file has no list '${key}'; its tokenizer cannot be built`);
  const wrong = value.findIndex((each) => !isOne(each));
  if (wrong >= 0) throw new TokenizerError(`the GGUF file's '${key}' has ${showValue(value[wrong])} at ${wrong}`);
  return value as T[];
}

/** The tokenizer that a GGUF file describes, see `tokenizerFilesFromGguf`. @throws TokenizerError */
export async function tokenizerFromGguf(metadata: Readonly<Record<string, unknown>>): Promise<Tokenizer> {
  const tokenizer = await tokenizerFromFiles(tokenizerFilesFromGguf(metadata));
  if (metadata['tokenizer.ggml.add_bos_token'] !== false) return tokenizer;
  return { ...tokenizer, encode: (text) => tokenizer.encode(text, { addSpecialTokens: false }) };
}

/**
 * What a file may say of how texts are prepared. Other keys below `tokenizer.` are of other kinds of tokenizer (`pre`, `merges`), name
 * tokens that only other uses need (`mask`, `seperator`), or are of the configuration (`eot`).
 */
const usualSettings: Readonly<Record<string, unknown>> = {
  'tokenizer.ggml.add_eos_token': false,
  'tokenizer.ggml.add_space_prefix': false,
  'tokenizer.ggml.remove_extra_whitespaces': false,
  'tokenizer.ggml.escape_whitespaces': true,
  'tokenizer.ggml.treat_whitespace_as_suffix': false,
  'tokenizer.ggml.precompiled_charsmap': undefined,
};

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** Tokens that stand for no text, whatever kind a file gives them: some files call these ordinary pieces, which texts are then cut into. */
const controlTokens: readonly string[] = [
  '<pad>',
  '<eos>',
  '<bos>',
  '<mask>',
  '<start_of_turn>',
  '<end_of_turn>',
  '<start_of_image>',
  '<end_of_image>',
  '<image_soft_token>',
];

/** The kinds of the pieces, right where a file is wrong. */
function kindsOf({ tokens, kinds, special }: Pick<Pieces, 'tokens' | 'kinds' | 'special'>): number[] {
  const control = new Set([...controlTokens, tokens[special.bos], tokens[special.eos], tokens[special.pad]]);
  return tokens.map((token, id) => {
    if (id === special.unk) return pieceKind.unknown;
    return control.has(token) ? pieceKind.control : kinds[id]!;
  });
}

const scoresKey = 'tokenizer.ggml.scores';
/** Merges as pairs. @throws TokenizerError for one that is no pair, or makes no token */
function mergesOf(metadata: Readonly<Record<string, unknown>>, tokens: ReadonlySet<string>): [string, string][] {
  return list(metadata, 'tokenizer.ggml.merges', isText).map((merge, i) => {
    const at = merge.indexOf(' ', 1);
    const [left, right] = [merge.slice(0, at), merge.slice(at + 1)].map((part) =>
      tokens.has(part) ? part : part.replaceAll(spaceInMerge, ' '),
    ) as [string, string];
    if (at < 0 || ![left, right, left + right].every((part) => tokens.has(part)))
      throw new TokenizerError(
        `the GGUF file's 'tokenizer.ggml.merges' has ${showValue(merge)} at ${i}, which joins no two of its tokens to another`,
      );
    return [left, right];
  });
}

/**
 * The tokenizer that a GGUF file describes in its `tokenizer.ggml.*` metadata (SentencePiece BPE with scores, or BPE with merges), as the
 * same tokenizer.json that Hugging Face ships. Begins no text with `<bos>` where the file says so.
 * @throws TokenizerError
 */
export function tokenizerFilesFromGguf(metadata: Readonly<Record<string, unknown>>): TokenizerFiles {
  if (!isFields(metadata))
    throw new TokenizerError(`the metadata of a GGUF are an object, not ${showValue(metadata, 40)}`);
  const model = metadata['tokenizer.ggml.model'];
  const { pieces, merges } = ggufTokenizers;
  if (model !== pieces && model !== merges)
    throw new TokenizerError(
      `the GGUF file's tokenizer is ${showValue(model)}; only '${pieces}' (SentencePiece BPE) and '${merges}' (BPE with merges of characters) are supported`,
    );
  const tokens = list(metadata, 'tokenizer.ggml.tokens', isText);
  const kinds = list(metadata, 'tokenizer.ggml.token_type', isNumber);
  const each = {
    token_type: kinds.length,
    ...(model === pieces && { scores: list(metadata, scoresKey, isNumber).length }),
  };
  for (const [name, count] of Object.entries(each))
    if (count !== tokens.length)
      throw new TokenizerError(`the GGUF file has ${tokens.length} tokens, but ${count} of 'tokenizer.ggml.${name}'`);
  const seen = new Set<string>();
  for (const token of tokens) {
    if (seen.has(token)) throw new TokenizerError(`the GGUF file has the token ${showValue(token)} twice`);
    seen.add(token);
  }
  for (const [key, usual] of Object.entries(usualSettings)) {
    const value = metadata[key] ?? usual;
    if (value !== usual)
      throw new TokenizerError(`the GGUF file says ${key} is ${String(value)}, but texts are taken as they stand`);
  }
  const id = (name: string, fallback: number) => {
    const key = `tokenizer.ggml.${name}_token_id`;
    const value = metadata[key] ?? fallback;
    if (typeof value === 'number' && tokens[value] !== undefined) return value;
    throw new TokenizerError(`the GGUF file's '${key}' is ${showValue(value)}, but there are ${tokens.length} tokens`);
  };
  const special = { unk: id('unknown', 3), bos: id('bos', 2), eos: id('eos', 1), pad: id('padding', 0) };
  return tokenizerFilesFromPieces({
    tokens,
    ...(model === pieces ? { scores: list(metadata, scoresKey, isNumber) } : { merges: mergesOf(metadata, seen) }),
    kinds: kindsOf({ tokens, kinds, special }),
    special,
    byteFallback: true,
    chatTemplate: metadata['tokenizer.chat_template'],
    addBos: metadata['tokenizer.ggml.add_bos_token'] !== false,
  });
}
