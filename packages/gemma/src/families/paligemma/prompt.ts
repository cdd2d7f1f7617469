import type { Tokenizer } from '../../text/tokenizer.js';
import type { PromptForm } from '../family.js';
import { gemmaPrompt } from '../gemma/prompt.js';

/**
 * PaliGemma's prompt, after the pictures' tokens: bos, the text and a new line, which is a token of its own. The answer's tokens
 * follow, and eos. Source: https://github.com/google-research/big_vision, `big_vision/configs/proj/paligemma`.
 */
export function paliGemmaPrompt(prompt: string, tokenizer: Tokenizer): number[] {
  return [...tokenizer.encode(prompt), ...tokenizer.encode('\n', { addSpecialTokens: false })];
}

/** One prompt about pictures, one answer: there is no chat. */
export const paliGemmaPromptForm: PromptForm = {
  encodePrompt: paliGemmaPrompt,
  isPrefixBidirectional: true,
  chat: null,
  needsPictures: true,
  rowExample: '{"image": "cat.png", "prompt": "…", "completion": "…"}',
  // The vocabulary is Gemma's.
  stopTokens: gemmaPrompt.stopTokens,
};
