import { isFields } from '../config/fields.js';
import { checkTokenizerJson } from './check-tokenizer-json.js';
import { TokenizerError } from './tokenizer.js';
import { type MergedWords, pieceKind, type Pieces } from './tokenizer-pieces.js';

const mark = '▁';

type Fail = (problem: string) => never;

const failAs =
  (form: string): Fail =>
  (problem) => {
    throw new TokenizerError(`tokenizer.json: ${problem}; it cannot be written as ${form}`);
  };

/**
 * A tokenizer.json of Hugging Face as the pieces of SentencePiece that it was made of, for formats that know pieces with scores: the
 * earlier a piece's merges stand in the list, the better its score.
 * @throws TokenizerError where its merges are no such list, or texts are prepared in other ways than by marking spaces
 */
export function piecesFromTokenizerJson(json: unknown, special: Pieces['special']): Pieces {
  const fail = failAs('the pieces of a SentencePiece model');
  const { tokens, kinds, model } = wordsOf(json, fail);
  kinds[special.unk] = pieceKind.unknown;
  return { tokens, scores: scoresOf(tokens, kinds, model, fail), kinds, special, byteFallback: true };
}

/** The same with its merges as they are. @throws TokenizerError where texts are prepared in other ways than by marking spaces */
export function mergedWordsFromTokenizerJson(json: unknown, special: Pieces['special']): MergedWords {
  const { tokens, kinds, model } = wordsOf(json, failAs('words with merges'));
  const merges = model.merges.map((merge) =>
    typeof merge === 'string' ? (merge.split(' ') as [string, string]) : merge,
  );
  return { tokens, merges, kinds, special, byteFallback: true };
}

function wordsOf(json: unknown, fail: Fail): { tokens: string[]; kinds: number[]; model: BpeModel } {
  const checked = checkTokenizerJson(json, fail);
  const marksSpaces = JSON.stringify(checked['normalizer']) === markingSpaces;
  if (!marksSpaces) fail(`normalizer is ${JSON.stringify(checked['normalizer'])}, and not ${markingSpaces}`);
  // Splits at spaces, of which none are left by then, change nothing.
  const pre = checked['pre_tokenizer'];
  if (pre !== null && !(isFields(pre) && JSON.stringify(pre['pattern']) === '{"String":" "}'))
    fail(`pre_tokenizer is ${JSON.stringify(pre)}`);
  const model = checked['model'] as BpeModel;
  if (model.byte_fallback !== true) fail(`model.byte_fallback is ${String(model.byte_fallback)}`);

  const tokens: string[] = [];
  const kinds: number[] = [];
  const put = (token: string, id: number, kind: number) => {
    tokens[id] = token;
    kinds[id] = kind;
  };
  for (const [token, id] of Object.entries(model.vocab))
    put(token, id, /^<0x[0-9A-F]{2}>$/.test(token) ? pieceKind.byte : pieceKind.normal);
  const added = checked['added_tokens'] as readonly AddedToken[];
  for (const { id, content, special: isSpecial } of added)
    put(content, id, isSpecial ? pieceKind.control : pieceKind.userDefined);
  const hole = Array.from(tokens).indexOf(undefined as never);
  if (hole >= 0) fail(`no token has the id ${hole}`);
  return { tokens, kinds, model };
}

const markingSpaces = JSON.stringify({ type: 'Replace', pattern: { String: ' ' }, content: mark });

/** What `checkTokenizerJson` has let through. */
interface BpeModel {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly [string, string])[];
  readonly byte_fallback?: unknown;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

function scoresOf(
  tokens: readonly string[],
  kinds: readonly number[],
  { vocab, merges }: BpeModel,
  fail: Fail,
): Float32Array {
  const scores = new Float32Array(tokens.length);
  const scored = new Set<number>();
  let last = -1;
  let next = 0;
  for (const merge of merges) {
    const joined = typeof merge === 'string' ? merge.replace(' ', '') : merge[0] + merge[1];
    const id = vocab[joined]!;
    // Found in texts before anything is joined.
    if (kinds[id] !== pieceKind.normal || id === last) continue;
    if (scored.has(id)) fail(`merges of ${JSON.stringify(joined)} stand apart in the list`);
    scored.add(id);
    scores[id] = -next++;
    last = id;
  }
  // Characters: nothing is joined to become one.
  for (const [id, kind] of kinds.entries()) {
    if (kind !== pieceKind.normal || scored.has(id)) continue;
    if (Array.from(tokens[id]!).length > 1 && canBeJoined(tokens[id]!, vocab))
      fail(`nothing is merged into ${JSON.stringify(tokens[id])}`);
    scores[id] = -next++;
  }
  return scores;
}

function canBeJoined(token: string, vocab: Readonly<Record<string, number>>): boolean {
  const points = Array.from(token);
  return points.some((_, i) => {
    const [left, right] = [points.slice(0, i).join(''), points.slice(i).join('')];
    return i > 0 && Object.hasOwn(vocab, left) && Object.hasOwn(vocab, right);
  });
}
