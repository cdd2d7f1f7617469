import { TokenizerError, type Tokenizer } from './tokenizer.js';
import { type TokenizerFiles, tokenizerFilesFromPieces, tokenizerFromFiles } from './tokenizer-pieces.js';

function list<T>(metadata: Readonly<Record<string, unknown>>, key: string): ArrayLike<T> {
  const value = metadata[key];
  if (value === undefined || typeof value !== 'object' || !('length' in (value as object))) {
    throw new TokenizerError(`the GGUF file has no '${key}'; its tokenizer cannot be built`);
  }
  return value as ArrayLike<T>;
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

/**
 * The tokenizer that a GGUF file describes in its `tokenizer.ggml.*` metadata (SentencePiece BPE with scores, as all Gemma
 * files have it), as the same tokenizer.json that Hugging Face ships. Begins no text with `<bos>` where the file says so.
 * @throws TokenizerError
 */
export function tokenizerFilesFromGguf(metadata: Readonly<Record<string, unknown>>): TokenizerFiles {
  const model = metadata['tokenizer.ggml.model'];
  if (model !== 'llama')
    throw new TokenizerError(
      `the GGUF file's tokenizer is '${String(model)}'; only 'llama' (SentencePiece BPE) is supported`,
    );
  const tokens = Array.from(list<string>(metadata, 'tokenizer.ggml.tokens'));
  const scores = list<number>(metadata, 'tokenizer.ggml.scores');
  const kinds = list<number>(metadata, 'tokenizer.ggml.token_type');
  if (scores.length !== tokens.length || kinds.length !== tokens.length) {
    throw new TokenizerError(
      `the GGUF file has ${tokens.length} tokens but ${scores.length} scores and ${kinds.length} token types`,
    );
  }
  if (new Set(tokens).size !== tokens.length) throw new TokenizerError('the GGUF file has a token twice');
  for (const [key, usual] of Object.entries(usualSettings)) {
    const value = metadata[key] ?? usual;
    if (value !== usual)
      throw new TokenizerError(`the GGUF file says ${key} is ${String(value)}, but texts are taken as they stand`);
  }
  const id = (name: string, fallback: number) => {
    const key = `tokenizer.ggml.${name}_token_id`;
    const value = metadata[key] ?? fallback;
    if (typeof value !== 'number') throw new TokenizerError(`the GGUF file's ${key} is ${String(value)}, no number`);
    return value;
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
