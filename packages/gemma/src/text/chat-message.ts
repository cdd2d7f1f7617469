// Conversations as they are handed over: OpenAI's form, which chat templates read.

/** A piece of a message's content. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** A picture that stands here: `image` is it, or names it, for whoever reads pictures; what writes texts asks only where it stands. */
export interface ImagePart {
  readonly type: 'image';
  readonly image?: unknown;
}

/** A function that the model calls, in OpenAI's form. */
export interface ToolCall {
  readonly id?: string;
  readonly type?: string;
  /** `arguments` as JSON text, as OpenAI has it, or as an object: a template that reads objects gets one. */
  readonly function: { readonly name: string; readonly arguments: string | object };
}

/** What a function gave back, for templates that read it so; its name is that of the function. */
export interface ToolResponse {
  readonly name?: string;
  readonly response: unknown;
}

/** One turn of a conversation. Further fields reach the chat template, as in transformers. */
export interface ChatMessage {
  /** `assistant` is another word for `model`. */
  readonly role: 'system' | 'developer' | 'user' | 'model' | 'assistant' | 'tool';
  /** null or left out only where the turn is a call of tools; responses only where a tool's turn has them. */
  readonly content?: string | readonly (TextPart | ImagePart)[] | ToolResponse | readonly ToolResponse[] | null;
  /** Of a `tool` turn the function's; left out, it is that of the call with its `tool_call_id`. */
  readonly name?: string;
  readonly tool_calls?: readonly ToolCall[] | null;
  /** Of the call that a `tool` turn answers. */
  readonly tool_call_id?: string;
  /** What the functions that a turn of the model calls gave back, in place of `tool` turns behind it, where the template reads it so. */
  readonly tool_responses?: readonly ToolResponse[] | null;
  /** What the model thought before it answered; also by the names `reasoning` and `thinking`. */
  readonly reasoning_content?: string | null;
  /** 0: of a turn of the model, not to be learned, as in OpenAI's fine-tuning. Default 1. */
  readonly weight?: 0 | 1;
}

/** What else a chat template takes, by the names that it gives it: `{ enable_thinking: true }`. JSON values. */
export type ChatTemplateKwargs = Readonly<Record<string, unknown>>;

/** Functions that a conversation may call: JSON schemas in OpenAI's form, as the chat template writes them. */
export type ChatTools = readonly object[];

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

/** Whether a turn is the model's. */
export const isModel = ({ role }: ChatMessage) => role === 'assistant' || role === 'model';

/** Indices of the model's turns. */
export function turnsOfModel(messages: readonly ChatMessage[]): number[] {
  return messages.flatMap((message, i) => (isModel(message) ? [i] : []));
}

/** The pictures of messages, in order. */
export function imageParts(messages: readonly ChatMessage[]): ImagePart[] {
  return messages.flatMap(({ content }) =>
    Array.isArray(content)
      ? content.filter((part: Partial<ImagePart> | null): part is ImagePart => part?.type === 'image')
      : [],
  );
}

/**
 * The text of a message's content, with `imageMark` for each picture; null where there is none.
 * @throws ChatTemplateError for parts that are neither text nor, with a mark for them, pictures
 */
export function contentText({ content }: ChatMessage, index: number, imageMark?: string): string | null {
  if (content === null || content === undefined || typeof content === 'string') return content ?? null;
  return [content]
    .flat()
    .map((part: Partial<TextPart & ToolResponse> | Partial<ImagePart> | null) => {
      if (part?.type === 'text' && typeof part.text === 'string') return part.text;
      if (part?.type === 'image' && imageMark !== undefined) return imageMark;
      const type = JSON.stringify(part?.type);
      const isSeen = part?.type === 'image' ? ', but the model sees no pictures in a conversation' : '';
      throw new ChatTemplateError(
        index,
        `message ${index + 1} has a part of the type ${type}${isSeen}; parts of a conversation must be {"type": "text", "text": "…"}`,
      );
    })
    .join('');
}

/** @throws ChatTemplateError for tools of which the template's source says nothing */
export function checkTools(tools: ChatTools | undefined, source: string): void {
  if (tools !== undefined && tools.length > 0 && !/\btools\b/.test(source))
    throw new ChatTemplateError(
      -1,
      "there are tools, of which the model's chat template knows nothing: they would be left out",
    );
}

/** Names that a template has of its own. */
const ownNames = ['messages', 'tools', 'documents', 'bos_token', 'eos_token', 'add_generation_prompt'];

/** @throws ChatTemplateError for what a template has anyway, and for what its source says nothing of, but for `false`, which asks for nothing */
export function checkKwargs(kwargs: ChatTemplateKwargs | undefined, source: string): void {
  for (const [name, value] of Object.entries(kwargs ?? {})) {
    if (ownNames.includes(name))
      throw new ChatTemplateError(-1, `chat_template_kwargs: '${name}' is what a chat template has anyway`);
    if (value === false || value === null || value === undefined) continue;
    if (!/^[A-Za-z_]\w*$/.test(name) || !new RegExp(`\\b${name}\\b`).test(source))
      throw new ChatTemplateError(
        -1,
        `chat_template_kwargs: the model's chat template knows no '${name}': it would change nothing`,
      );
  }
}

/**
 * The messages with the system's before the first user's, for templates that know no system; undefined where there is no such message.
 */
export function withFoldedSystem(messages: readonly ChatMessage[]): ChatMessage[] | undefined {
  const [first, second, ...others] = messages;
  if (first === undefined || second?.role !== 'user' || (first.role !== 'system' && first.role !== 'developer'))
    return undefined;
  const before = `${contentText(first, 0) ?? ''}\n\n`;
  const { content } = second;
  if (imageParts([second]).length === 0)
    return [{ ...second, content: `${before}${contentText(second, 1) ?? ''}` }, ...others];
  // Parts stay apart: pictures stand among them.
  const parts = content as readonly (TextPart | ImagePart)[];
  return [{ ...second, content: [{ type: 'text', text: before }, ...parts] }, ...others];
}

/**
 * Refuses what is no plain conversation in which user and model take turns, the user first.
 * @throws ChatTemplateError naming the message
 */
export function checkTurns(messages: readonly ChatMessage[]): void {
  messages.forEach(({ role }, i) => {
    const expected = i % 2 === 0 ? 'user' : 'assistant';
    if (role !== expected)
      throw new ChatTemplateError(
        i,
        `message ${i + 1} is from '${role}', but user and model must take turns, the user first: expected '${i % 2 === 0 ? 'user' : 'model'}'`,
      );
  });
}
