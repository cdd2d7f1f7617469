import { withoutOpening } from '../../text/markers.js';
import { specialTexts } from '../../text/tokenizer.js';
import type { PromptForm } from '../family.js';

const turnEnd = '<turn|>';
/**
 * After a call the model writes what opens the response, which is for others to give
 * (https://ai.google.dev/gemma/docs/capabilities/text/function-calling-gemma4).
 */
const responseStart = '<|tool_response>';

/**
 * A text is gone on with as it stands, a conversation goes through the chat template that the model was published with: sizes have different
 * ones (https://ai.google.dev/gemma/docs/core/prompt-formatting-gemma4). The tokenizer puts nothing in front of a text, since templates write
 * `<bos>`; that of a GGUF does.
 */
export const gemma4Prompt: PromptForm = {
  opening: (tokenizer) => [specialTexts(tokenizer).bosToken],
  encodePrompt: (prompt, tokenizer) => {
    const { text } = withoutOpening(prompt, gemma4Prompt.opening(tokenizer));
    return [tokenizer.bosId, ...tokenizer.encode(text, { addSpecialTokens: false })];
  },
  isPrefixBidirectional: false,
  takesChat: true,
  chatTemplate: null,
  chatTemplateSource: null,
  needsPictures: false,
  rowExample: '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}',
  ggufTokenizer: 'merges',
  stopTokens: (tokenizer) => [turnEnd, responseStart].flatMap((token) => tokenizer.tokenId(token) ?? []),
};
