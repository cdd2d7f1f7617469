import { PromptImagesError } from '../../text/prompt-images-error.js';
import { withoutOpening } from '../../text/markers.js';
import { specialTexts, type Tokenizer } from '../../text/tokenizer.js';
import type { PromptForm } from '../family.js';
import type { PicturePlaces } from '../../text/picture-text.js';
import { gemmaPrompt } from '../gemma/prompt.js';

/** What transformers' processor wants before a prompt, once for each picture. */
const imageMark = '<image>';

/** Marks that a prompt begins with, `<image><bos>` as for transformers' processor, stand for what is put there anyway. */
const opening = (tokenizer: Tokenizer) => [imageMark, specialTexts(tokenizer).bosToken];

/**
 * PaliGemma's prompt, without the pictures' tokens before it: bos, the text and a new line, which is a token of its own. The answer's tokens
 * follow, and eos. Source: https://github.com/google-research/big_vision, `big_vision/configs/proj/paligemma`.
 * @throws PromptImagesError for an `<image>` within the prompt: pictures come before it
 */
export function paliGemmaPrompt(prompt: string, tokenizer: Tokenizer): number[] {
  const { text } = withoutOpening(prompt, opening(tokenizer));
  if (text.includes(imageMark))
    throw new PromptImagesError(
      `the prompt has ${imageMark} within it, but pictures come before its text: leave the mark out, or put it first`,
    );
  const encode = (part: string) => tokenizer.encode(part, { addSpecialTokens: false });
  return [tokenizer.bosId, ...encode(text), ...encode('\n')];
}

/** One prompt about pictures, which stand before it, one answer: there is no chat. */
export const paliGemmaPromptForm = ({ token, places }: PicturePlaces): PromptForm => ({
  opening,
  encodePrompt: (prompt, tokenizer, pictures = 0) => [
    ...new Array<number>(pictures * places).fill(token),
    ...paliGemmaPrompt(prompt, tokenizer),
  ],
  isPrefixBidirectional: true,
  takesChat: false,
  chatTemplate: null,
  chatTemplateSource: null,
  needsPictures: true,
  rowExample: '{"image": "cat.png", "prompt": "…", "completion": "…"}',
  // The vocabulary is Gemma's.
  stopTokens: gemmaPrompt.stopTokens,
});
