import {
  type ChatMessage,
  encodeTurns,
  renderTemplate,
  takeTurns,
  type TemplateOptions,
} from '../../text/chat-template.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { PromptForm } from '../family.js';

const turnEnd = '<end_of_turn>';
/** Around the model's turns; each marker is a token of its own. */
const modelTurn = { opening: '<start_of_turn>model\n', closing: turnEnd } as const;

/** Gemma's turns (https://ai.google.dev/gemma/docs/core/prompt-structure); a system message goes before the first user turn. */
export const gemmaChatTemplate = `{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + (message['content'] | trim) + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`;

/** The conversation as one text, special tokens included: encode it with `addSpecialTokens: false`. @throws ChatTemplateError */
export function renderChat(
  messages: readonly ChatMessage[],
  {
    template = gemmaChatTemplate,
    bosToken = '<bos>',
    eosToken = '<eos>',
    addGenerationPrompt = false,
  }: Partial<TemplateOptions> = {},
): string {
  return renderTemplate(takeTurns(messages), { template, bosToken, eosToken, addGenerationPrompt });
}

/** How a conversation is written for the model that a tokenizer came with. */
function templateOf(tokenizer: Tokenizer): Partial<TemplateOptions> {
  return {
    ...(tokenizer.chatTemplate !== undefined && { template: tokenizer.chatTemplate }),
    bosToken: tokenizer.decode([tokenizer.bosId], { skipSpecialTokens: false }),
    eosToken: tokenizer.decode([tokenizer.eosId], { skipSpecialTokens: false }),
  };
}

/**
 * Token ids of a conversation and which of them the model is to learn: its own turns up to and with `<end_of_turn>`.
 * @throws ChatTemplateError
 */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
): { tokens: number[]; lossMask: boolean[] } {
  return encodeTurns(tokenizer, renderChat(messages, templateOf(tokenizer)), modelTurn);
}

/** A text is gone on with as it stands; a conversation goes through the chat template. */
export const gemmaPrompt: PromptForm = {
  encodePrompt: (prompt, tokenizer) => tokenizer.encode(prompt),
  isPrefixBidirectional: false,
  chat: {
    encode: encodeChat,
    encodePrompt: (tokenizer, messages) =>
      tokenizer.encode(renderChat(messages, { ...templateOf(tokenizer), addGenerationPrompt: true }), {
        addSpecialTokens: false,
      }),
  },
  needsPictures: false,
  rowExample: '{"prompt": "…", "completion": "…"}',
  stopTokens(tokenizer) {
    const id = tokenizer.tokenId(turnEnd);
    return id === undefined ? [] : [id];
  },
};
