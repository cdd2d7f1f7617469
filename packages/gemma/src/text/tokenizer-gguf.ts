import { isFields } from '../config/fields.js';
import { showValue } from '../config/json.js';
import { TokenizerError, type Tokenizer } from './tokenizer.js';
import { type TokenizerFiles, tokenizerFilesFromPieces, tokenizerFromFiles } from './tokenizer-pieces.js';

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

/**
 * The tokenizer that a GGUF file describes in its `tokenizer.ggml.*` metadata (SentencePiece BPE with scores, as all Gemma
 * files have it), as the same tokenizer.json that Hugging Face ships. Begins no text with `<bos>` where the file says so.
 * @throws TokenizerError
 */
export function tokenizerFilesFromGguf(metadata: Readonly<Record<string, unknown>>): TokenizerFiles {
  if (!isFields(metadata))
    throw new TokenizerError(`the metadata of a GGUF are an object, not ${showValue(metadata, 40)}`);
  const model = metadata['tokenizer.ggml.model'];
  if (model !== 'llama')
    throw new TokenizerError(
      `the GGUF file's tokenizer is ${showValue(model)}; only 'llama' (SentencePiece BPE) is supported`,
    );
  const tokens = list(metadata, 'tokenizer.ggml.tokens', isText);
  const scores = list(metadata, 'tokenizer.ggml.scores', isNumber);
  const kinds = list(metadata, 'tokenizer.ggml.token_type', isNumber);
  if (scores.length !== tokens.length || kinds.length !== tokens.length) {
    throw new TokenizerError(
      `the GGUF file has ${tokens.length} tokens but ${scores.length} scores and ${kinds.length} token types`,
    );
  }
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
  return tokenizerFilesFromPieces({
    tokens,
    scores,
    kinds,
    special: { unk: id('unknown', 3), bos: id('bos', 2), eos: id('eos', 1), pad: id('padding', 0) },
    byteFallback: true,
    chatTemplate: metadata['tokenizer.chat_template'],
    addBos: metadata['tokenizer.ggml.add_bos_token'] !== false,
  });
}
