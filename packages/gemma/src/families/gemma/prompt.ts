import { type ChatMessage, type ChatTemplate, encodeTurns, takeTurns } from '../../text/chat-template.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { PromptForm } from '../family.js';

const turnEnd = '<end_of_turn>';
/** Around the model's turns; each marker is a token of its own. */
const modelTurn = { opening: '<start_of_turn>model\n', closing: turnEnd } as const;

/** Gemma's turns (https://ai.google.dev/gemma/docs/core/prompt-structure), for a model that came without a template. */
const gemmaTemplate: ChatTemplate = (turns, { bosToken, addGenerationPrompt }) => {
  const texts = turns.map(({ role, content }) => {
    const name = role === 'assistant' ? 'model' : role;
    return `<start_of_turn>${name}\n${content.trim()}${turnEnd}\n`;
  });
  return `${bosToken}${texts.join('')}${addGenerationPrompt ? modelTurn.opening : ''}`;
};

/**
 * The conversation as one text by the template that the tokenizer came with, or Gemma's own, special tokens included: encode it with
 * `addSpecialTokens: false`. A system message goes before the first user turn. @throws ChatTemplateError
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  { addGenerationPrompt = false }: { readonly addGenerationPrompt?: boolean } = {},
): string {
  const render = tokenizer.applyChatTemplate ?? gemmaTemplate;
  return render(takeTurns(messages), {
    bosToken: tokenizer.decode([tokenizer.bosId], { skipSpecialTokens: false }),
    eosToken: tokenizer.decode([tokenizer.eosId], { skipSpecialTokens: false }),
    addGenerationPrompt,
  });
}

/**
 * Token ids of a conversation and which of them the model is to learn: its own turns up to and with `<end_of_turn>`.
 * @throws ChatTemplateError
 */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
): { tokens: number[]; lossMask: boolean[] } {
  return encodeTurns(tokenizer, renderChat(tokenizer, messages), modelTurn);
}

/** A text is gone on with as it stands; a conversation goes through the chat template. */
export const gemmaPrompt: PromptForm = {
  encodePrompt: (prompt, tokenizer) => tokenizer.encode(prompt),
  isPrefixBidirectional: false,
  chat: {
    encode: encodeChat,
    encodePrompt: (tokenizer, messages) =>
      tokenizer.encode(renderChat(tokenizer, messages, { addGenerationPrompt: true }), { addSpecialTokens: false }),
  },
  needsPictures: false,
  rowExample: '{"prompt": "…", "completion": "…"}',
  stopTokens(tokenizer) {
    const id = tokenizer.tokenId(turnEnd);
    return id === undefined ? [] : [id];
  },
};
