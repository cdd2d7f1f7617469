import { isFields } from '../config/fields.js';
import { showValue } from '../config/json.js';
import type { Refuse } from './check-tokenizer-json.js';

/**
 * Whether what tokenizer.json does after it has encoded a text puts the token of the beginning in front of it. Other tokens, and tokens
 * in other places, are refused. As transformers, which goes by nothing else: `add_bos_token` of tokenizer_config.json does not count.
 */
export function putsBosFirst(
  postProcessor: unknown,
  bos: { readonly id: number; readonly text: string | undefined },
  refuse: Refuse,
): boolean {
  if (postProcessor === undefined || postProcessor === null) return false;
  if (!isFields(postProcessor) || postProcessor['type'] !== 'TemplateProcessing')
    refuse(
      `post_processor is ${showValue(postProcessor)}; only null and a TemplateProcessing, as Gemma has it, are supported`,
    );
  const { single, special_tokens: tokens } = postProcessor;
  const pieces = Array.isArray(single) ? single.map(pieceName) : [];
  if (pieces.at(-1) !== 'A' || pieces.length > 2)
    refuse(
      `post_processor.single is ${showValue(single)}; only a text with a token in front of it, or none, is supported`,
    );
  const [first] = pieces;
  if (pieces.length === 1 || first === undefined) return false;
  const name = first.slice(1);
  const token = isFields(tokens) ? tokens[name] : undefined;
  const ids = isFields(token) ? token['ids'] : undefined;
  if (name !== bos.text || !Array.isArray(ids) || ids.length !== 1 || ids[0] !== bos.id)
    refuse(
      `post_processor puts ${showValue(name)} with the ids ${showValue(ids)} in front of a text; only the token of the beginning, ${showValue(bos.text)} with the id ${bos.id}, is supported`,
    );
  return true;
}

/** 'A' for the text, '+name' for a token; '?' for what is neither. */
function pieceName(piece: unknown): string {
  const { SpecialToken: token, Sequence: text } = isFields(piece) ? piece : {};
  if (isFields(text) && text['id'] === 'A') return 'A';
  return isFields(token) && typeof token['id'] === 'string' ? `+${token['id']}` : '?';
}
