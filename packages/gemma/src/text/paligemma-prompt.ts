import type { Tokenizer } from './tokenizer.js';

/**
 * PaliGemma's prompt, after the pictures' tokens: bos, the text and a new line, which is a token of its own. The answer's tokens
 * follow, and eos. Source: https://github.com/google-research/big_vision, `big_vision/configs/proj/paligemma`.
 */
export function paliGemmaPrompt(prompt: string, tokenizer: Tokenizer): number[] {
  return [...tokenizer.encode(prompt), ...tokenizer.encode('\n', { addSpecialTokens: false })];
}
