import { isFields } from '../config/fields.js';
import { showValue } from '../config/json.js';
import type { Refuse } from './check-tokenizer-json.js';

/** A token by its id and its text. */
interface Token {
  readonly id: number;
  readonly text: string | undefined;
}

/** Tokens around a text. */
export interface TextEnds {
  readonly first: readonly number[];
  readonly last: readonly number[];
}

/**
 * What tokenizer.json puts around a text after it has encoded it: the token of the beginning in front of it, and the token of the end
 * behind it, or nothing. Other tokens, and tokens in other places, are refused. As transformers, which goes by nothing else: `add_bos_token`
 * of tokenizer_config.json does not count.
 */
export function textEnds(postProcessor: unknown, { bos, eos }: { bos: Token; eos: Token }, refuse: Refuse): TextEnds {
  if (postProcessor === undefined || postProcessor === null) return { first: [], last: [] };
  if (!isFields(postProcessor) || postProcessor['type'] !== 'TemplateProcessing')
    refuse(
      `post_processor is ${showValue(postProcessor)}; only null and a TemplateProcessing, as Gemma has it, are supported`,
    );
  const { single, special_tokens: tokens } = postProcessor;
  const pieces = Array.isArray(single) ? single.map(pieceName) : [];
  const at = pieces.indexOf('A');
  const [before, behind] = [pieces.slice(0, Math.max(0, at)), pieces.slice(at + 1)];
  if (
    at < 0 ||
    before.length > 1 ||
    behind.length > 1 ||
    [...before, ...behind].some((piece) => !piece.startsWith('+'))
  )
    refuse(
      `post_processor.single is ${showValue(single)}; only a text with a token in front of it and one behind it, or none, is supported`,
    );
  const idsOf = (piece: string | undefined, token: Token, where: string, what: string): number[] => {
    if (piece === undefined) return [];
    const name = piece.slice(1);
    const entry = isFields(tokens) ? tokens[name] : undefined;
    const ids = isFields(entry) ? entry['ids'] : undefined;
    if (name !== token.text || !Array.isArray(ids) || ids.length !== 1 || ids[0] !== token.id)
      refuse(
        `post_processor puts ${showValue(name)} with the ids ${showValue(ids)} ${where} a text; only the token of the ${what}, ${showValue(token.text)} with the id ${token.id}, is supported`,
      );
    return [token.id];
  };
  return {
    first: idsOf(before[0], bos, 'in front of', 'beginning'),
    last: idsOf(behind[0], eos, 'behind', 'end'),
  };
}

/** 'A' for the text, '+name' for a token; '?' for what is neither. */
function pieceName(piece: unknown): string {
  const { SpecialToken: token, Sequence: text } = isFields(piece) ? piece : {};
  if (isFields(text) && text['id'] === 'A') return 'A';
  return isFields(token) && typeof token['id'] === 'string' ? `+${token['id']}` : '?';
}
