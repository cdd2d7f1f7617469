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
  return tokenizerFromFiles(tokenizerFilesFromGguf(metadata));
}

/**
 * The tokenizer that a GGUF file describes in its `tokenizer.ggml.*` metadata (SentencePiece BPE with scores, as all Gemma
 * files have it), as the same tokenizer.json that Hugging Face ships.
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
  const id = (name: string, fallback: number) => Number(metadata[`tokenizer.ggml.${name}_token_id`] ?? fallback);
  return tokenizerFilesFromPieces({
    tokens,
    scores,
    kinds,
    special: { unk: id('unknown', 3), bos: id('bos', 2), eos: id('eos', 1), pad: id('padding', 0) },
    byteFallback: true,
    chatTemplate: metadata['tokenizer.chat_template'],
  });
}
