import type { Tokenizer } from './tokenizer.js';

/** One turn of a conversation. */
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

/**
 * The messages as turns that user and model take, the user first; a system message goes before the first user turn.
 * @throws ChatTemplateError naming the message
 */
export function takeTurns(messages: readonly ChatMessage[]): ChatMessage[] {
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

/** What a template of a conversation takes beside its turns. */
export interface TemplateOptions {
  readonly bosToken: string;
  readonly eosToken: string;
  /** End with the opening of the model's turn. */
  readonly addGenerationPrompt: boolean;
}

/** Turns as one text, special tokens included. @throws ChatTemplateError where the template fails */
export type ChatTemplate = (turns: readonly ChatMessage[], options: TemplateOptions) => string;

/**
 * The template of a Jinja source. One that cannot be read throws ChatTemplateError when it is to render: the model it came with is of
 * use without conversations too.
 */
export async function compileChatTemplate(source: string): Promise<ChatTemplate> {
  // Loaded here: a model without a template of its own needs no Jinja.
  const { boundedTemplate } = await import('./bounded-template.js');
  let template: ReturnType<typeof boundedTemplate> | undefined;
  return (turns, { bosToken, eosToken, addGenerationPrompt }) => {
    try {
      template ??= boundedTemplate(source);
      return template({
        // Templates call the model `assistant`.
        messages: turns.map(({ role, content }) => ({ role: role === 'model' ? 'assistant' : role, content })),
        bos_token: bosToken,
        eos_token: eosToken,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      throw new ChatTemplateError(-1, `the chat template failed: ${(error as Error).message}`);
    }
  };
}

/**
 * Token ids of a conversation's text, and which of them the model is to learn: what stands between `opening` and `closing`, the closing
 * included. Both must begin and end with tokens of their own: the ids of the parts are then those of the whole.
 */
export function encodeTurns(
  tokenizer: Tokenizer,
  text: string,
  { opening, closing }: { readonly opening: string; readonly closing: string },
): { tokens: number[]; lossMask: boolean[] } {
  const tokens: number[] = [];
  const lossMask: boolean[] = [];
  const push = (part: string, learn: boolean) => {
    for (const id of tokenizer.encode(part, { addSpecialTokens: false })) {
      tokens.push(id);
      lossMask.push(learn);
    }
  };
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
