import { TokenizerError, type Tokenizer, tokenizerFromJson } from './tokenizer.js';

/** SentencePiece's kinds of piece, by its numbers; GGUF has the same. */
export const pieceKind = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The words of a tokenizer: each piece's text and kind, by id. */
interface Words {
  readonly tokens: readonly string[];
  readonly kinds: ArrayLike<number>;
  readonly special: { readonly unk: number; readonly bos: number; readonly eos: number; readonly pad: number };
  /** Characters without a piece become the pieces of their UTF-8 bytes, else the unknown piece. */
  readonly byteFallback: boolean;
  /** Jinja source. */
  readonly chatTemplate?: unknown;
  /** Whether a text begins with the bos piece. Default true. */
  readonly addBos?: boolean;
}

/** A SentencePiece BPE model: the better a piece's score, the earlier it is joined. */
export interface Pieces extends Words {
  readonly scores: ArrayLike<number>;
}

/** A BPE model with its merges in their order. */
export interface MergedWords extends Words {
  readonly merges: readonly (readonly [string, string])[];
}

/** The files of a tokenizer in Hugging Face's form, as what is to be JSON. */
export interface TokenizerFiles {
  readonly 'tokenizer.json': object;
  readonly 'tokenizer_config.json': object;
}

/** The tokenizer of files. @throws TokenizerError */
export function tokenizerFromFiles(files: TokenizerFiles): Promise<Tokenizer> {
  return tokenizerFromJson(files['tokenizer.json'], files['tokenizer_config.json']);
}

/**
 * The tokenizer of SentencePiece's pieces or of merges, as the tokenizer.json that Hugging Face makes of them: control pieces such as
 * `<bos>`, and `<unk>`, are found in texts, which SentencePiece itself does not do.
 * @throws TokenizerError
 */
export function tokenizerFilesFromPieces(pieces: Pieces | MergedWords): TokenizerFiles {
  const { tokens, kinds, special, byteFallback, chatTemplate, addBos = true } = pieces;
  const text = (name: keyof Pieces['special']) => {
    const token = tokens[special[name]];
    if (token === undefined)
      throw new TokenizerError(
        `the ${name} token is said to be ${special[name]}, but there are ${tokens.length} tokens`,
      );
    return token;
  };
  const added = tokens.flatMap((content, id) => {
    const isSpecial = kinds[id] === pieceKind.control || kinds[id] === pieceKind.unknown;
    if (!isSpecial && kinds[id] !== pieceKind.userDefined) return [];
    // As in SentencePiece a run of spaces is found after they have become "▁", together with any written in the text.
    return [
      { id, content, single_word: false, lstrip: false, rstrip: false, normalized: !isSpecial, special: isSpecial },
    ];
  });
  const bos = text('bos');
  const opening = { SpecialToken: { id: bos, type_id: 0 } };
  const tokenizerJson = {
    version: '1.0',
    added_tokens: added,
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: null,
    post_processor: addBos
      ? {
          type: 'TemplateProcessing',
          single: [opening, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [opening, { Sequence: { id: 'A', type_id: 0 } }, opening, { Sequence: { id: 'B', type_id: 0 } }],
          special_tokens: { [bos]: { id: bos, ids: [special.bos], tokens: [bos] } },
        }
      : null,
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
      unk_token: text('unk'),
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: byteFallback,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: 'merges' in pieces ? pieces.merges : mergesOf(pieces),
    },
  };
  const config = {
    // As it stands in tokenizer.json.
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: bos,
    eos_token: text('eos'),
    pad_token: text('pad'),
    unk_token: text('unk'),
    add_bos_token: addBos,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
    ...(typeof chatTemplate === 'string' && { chat_template: chatTemplate }),
  };
  return { 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': config };
}

/** Never made by joining others: named in text or written for a byte, and pieces that a vocabulary leaves out. */
const neverJoined: readonly number[] = [pieceKind.unknown, pieceKind.control, pieceKind.unused, pieceKind.byte];

/** Sum of the squares of the pieces' lengths, which is the work of taking them apart: some 16 million for Gemma's 262,144 pieces. */
const mostWork = 2 ** 28;

/**
 * SentencePiece joins the two neighbours whose joined piece scores best. As a list of merges: every way to make a piece of two
 * others, best score first.
 */
function mergesOf({ tokens, scores, kinds }: Pieces): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: { left: number; right: number; score: number }[] = [];
  const work = tokens.reduce((sum, { length }) => sum + length ** 2, 0);
  if (work > mostWork)
    throw new TokenizerError(
      `the pieces of its vocabulary are too long, up to ${tokens.reduce((most, { length }) => Math.max(most, length), 0)} characters`,
    );
  tokens.forEach((token, id) => {
    if (neverJoined.includes(kinds[id]!)) return;
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
