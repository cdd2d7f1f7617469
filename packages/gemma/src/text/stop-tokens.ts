import type { Model } from '../families/family.js';
import type { Tokenizer } from './tokenizer.js';

/** Tokens that end an answer: those of the model's configuration, the tokenizer's end of text, and the end of a turn. */
export function stopTokensOf(
  { eosTokenIds, prompt }: Pick<Model, 'eosTokenIds' | 'prompt'>,
  tokenizer: Tokenizer,
): number[] {
  return [...new Set([...eosTokenIds, tokenizer.eosId, ...prompt.stopTokens(tokenizer)])];
}
