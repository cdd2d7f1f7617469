import { TokenizerError, tokenizerFromJson, type Tokenizer } from './tokenizer.js';

/** llama.cpp's kinds of token. */
const kind = { control: 3, userDefined: 4 } as const;

function list<T>(metadata: Readonly<Record<string, unknown>>, key: string): ArrayLike<T> {
  const value = metadata[key];
  if (value === undefined || typeof value !== 'object' || !('length' in (value as object))) {
    throw new TokenizerError(`the GGUF file has no '${key}'; its tokenizer cannot be built`);
  }
  return value as ArrayLike<T>;
}

/**
 * The tokenizer that a GGUF file describes in its `tokenizer.ggml.*` metadata (SentencePiece BPE with scores, as all Gemma
 * files have it), as the same tokenizer.json that Hugging Face ships.
 * @throws TokenizerError
 */
export function tokenizerFromGguf(metadata: Readonly<Record<string, unknown>>): Tokenizer {
  const model = metadata['tokenizer.ggml.model'];
  if (model !== 'llama')
    throw new TokenizerError(
      `the GGUF file's tokenizer is '${String(model)}'; only 'llama' (SentencePiece BPE) is supported`,
    );
  const tokens = Array.from(list<string>(metadata, 'tokenizer.ggml.tokens'));
  const scores = list<number>(metadata, 'tokenizer.ggml.scores');
  const types = list<number>(metadata, 'tokenizer.ggml.token_type');
  if (scores.length !== tokens.length || types.length !== tokens.length) {
    throw new TokenizerError(
      `the GGUF file has ${tokens.length} tokens but ${scores.length} scores and ${types.length} token types`,
    );
  }
  const at = (key: string, fallback: number) => tokens[Number(metadata[key] ?? fallback)]!;
  const added = tokens.flatMap((content, id) => {
    const special = types[id] === kind.control;
    if (!special && types[id] !== kind.userDefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  const tokenizerJson = {
    version: '1.0',
    added_tokens: added,
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: at('tokenizer.ggml.unknown_token_id', 3),
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: mergesOf(tokens, scores),
    },
  };
  return tokenizerFromJson(tokenizerJson, {
    bos_token: at('tokenizer.ggml.bos_token_id', 2),
    eos_token: at('tokenizer.ggml.eos_token_id', 1),
    pad_token: at('tokenizer.ggml.padding_token_id', 0),
    chat_template: metadata['tokenizer.chat_template'],
  });
}

/**
 * SentencePiece joins the two neighbours whose joined piece scores best. As a list of merges: every way to make a piece of two
 * others, best score first.
 */
function mergesOf(tokens: readonly string[], scores: ArrayLike<number>): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: { left: number; right: number; score: number }[] = [];
  tokens.forEach((token, id) => {
    // Splits fall between code points, never inside a surrogate pair.
    const points = Array.from(token);
    let left = '';
    for (let i = 0; i + 1 < points.length; i++) {
      left += points[i]!;
      const l = ids.get(left);
      const r = l === undefined ? undefined : ids.get(token.slice(left.length));
      if (l !== undefined && r !== undefined) merges.push({ left: l, right: r, score: scores[id]! });
    }
  });
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return merges.map(({ left, right }) => [tokens[left]!, tokens[right]!]);
}
