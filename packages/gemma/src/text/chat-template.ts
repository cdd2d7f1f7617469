import { Template } from '@huggingface/jinja';
import type { Tokenizer } from './tokenizer.js';

export interface ChatMessage {
  /** `assistant` is another word for `model`. */
  readonly role: 'system' | 'user' | 'model' | 'assistant';
  readonly content: string;
}

/** Messages that a chat template cannot express: which one, and why. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
  /** Index of the message, or −1 for the whole. */
  readonly index: number;
  constructor(index: number, message: string) {
    super(message);
    this.index = index;
  }
}

/** Gemma's turns (https://ai.google.dev/gemma/docs/core/prompt-structure); a system message goes before the first user turn. */
export const gemmaChatTemplate = `{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + (message['content'] | trim) + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`;

function checkMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  if (messages.length === 0) throw new ChatTemplateError(-1, 'there are no messages');
  const [first, ...rest] = messages as [ChatMessage, ...ChatMessage[]];
  const turns = first.role === 'system' ? rest : [...messages];
  const offset = messages.length - turns.length;
  if (turns.length === 0) throw new ChatTemplateError(0, 'a system message needs a user message after it');
  turns.forEach(({ role, content }, i) => {
    const expected = i % 2 === 0 ? 'user' : 'model';
    const found = role === 'assistant' ? 'model' : role;
    if (typeof content !== 'string')
      throw new ChatTemplateError(i + offset, `message ${i + offset + 1} has no text content`);
    if (found !== expected) {
      throw new ChatTemplateError(
        i + offset,
        `message ${i + offset + 1} is from '${role}', but user and model must take turns, the user first: expected '${expected}'`,
      );
    }
  });
  if (first.role !== 'system') return turns;
  const [opening, ...others] = turns as [ChatMessage, ...ChatMessage[]];
  return [{ role: 'user', content: `${first.content.trim()}\n\n${opening.content}` }, ...others];
}

/** The conversation as one text, special tokens included: encode it with `addSpecialTokens: false`. @throws ChatTemplateError */
export function renderChat(
  messages: readonly ChatMessage[],
  {
    template = gemmaChatTemplate,
    bosToken = '<bos>',
    eosToken = '<eos>',
    addGenerationPrompt = false,
  }: {
    readonly template?: string;
    readonly bosToken?: string;
    readonly eosToken?: string;
    readonly addGenerationPrompt?: boolean;
  } = {},
): string {
  const turns = checkMessages(messages).map(({ role, content }) => ({
    role: role === 'model' ? 'assistant' : role,
    content,
  }));
  try {
    return new Template(template).render({
      messages: turns,
      bos_token: bosToken,
      eos_token: eosToken,
      add_generation_prompt: addGenerationPrompt,
    });
  } catch (error) {
    throw new ChatTemplateError(-1, `the chat template failed: ${(error as Error).message}`);
  }
}

/** Token ids of a conversation and which of them the model is to learn: its own turns up to and with `<end_of_turn>`. */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
): { tokens: number[]; lossMask: boolean[] } {
  const options = {
    ...(tokenizer.chatTemplate !== undefined && { template: tokenizer.chatTemplate }),
    bosToken: tokenizer.decode([tokenizer.bosId], { skipSpecialTokens: false }),
    eosToken: tokenizer.decode([tokenizer.eosId], { skipSpecialTokens: false }),
  };
  const text = renderChat(messages, options);
  const tokens: number[] = [];
  const lossMask: boolean[] = [];
  const push = (part: string, learn: boolean) => {
    for (const id of tokenizer.encode(part, { addSpecialTokens: false })) {
      tokens.push(id);
      lossMask.push(learn);
    }
  };
  // Cut around the model's turns: the markers are tokens of their own, so the parts' ids are those of the whole.
  const opening = '<start_of_turn>model\n';
  const closing = '<end_of_turn>';
  let rest = text;
  for (;;) {
    const start = rest.indexOf(opening);
    if (start < 0) break;
    const from = start + opening.length;
    const end = rest.indexOf(closing, from);
    push(rest.slice(0, from), false);
    push(end < 0 ? rest.slice(from) : rest.slice(from, end + closing.length), true);
    rest = end < 0 ? '' : rest.slice(end + closing.length);
  }
  push(rest, false);
  return { tokens, lossMask };
}
