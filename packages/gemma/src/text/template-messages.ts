import {
  ChatTemplateError,
  contentText,
  isModel,
  type ChatMessage,
  type ImagePart,
  type TextPart,
} from './chat-message.js';
import { callsForTemplate, isResponse, nameOfCall, readsResponses } from './template-calls.js';

/** A field that says what was said, so that a template which passes over it would leave it out without a word. */
const meaningful = ['tool_calls', 'tool_responses', 'function_call', 'audio'] as const;
/** What was thought, by the names that it has: transformers hands it over by the first and the second. */
const reasoningFields = ['reasoning_content', 'thinking', 'reasoning'] as const;

/**
 * The messages as a template takes them. What it would pass over in silence is refused: calls and tools of which its source says
 * nothing, a turn without content. Parts are joined where the source does not tell them apart.
 * @param source the template's, in which the names of what it knows stand
 * @param imageMark what stands for a picture in a text; left out: there can be none
 * @throws ChatTemplateError naming the message
 */
export function messagesForTemplate(
  messages: readonly ChatMessage[],
  source: string,
  imageMark?: string,
): ChatMessage[] {
  const knows = (name: string) => new RegExp(`\\b${name}\\b`).test(source);
  const readsParts = /\[\s*['"]type['"]\s*\]|\.type\b/.test(source);
  return messages.map((message, i) => {
    const fail = (problem: string): never => {
      throw new ChatTemplateError(i, `message ${i + 1} ${problem}`);
    };
    const { weight: _weight, ...rest } = withReasoning(message);
    for (const name of meaningful)
      if (hasContent(fieldsOf(message)[name]) && !knows(name))
        fail(`has '${name}', of which the model's chat template knows nothing: it would be left out`);
    const hasResponse = message.role === 'tool' && isResponse(message.content) && readsResponses(source);
    if (hasResponse && knows('tool_responses'))
      fail(
        "has a response as an object, which the chat template reads in 'tool_responses' of the turn that calls alone: write it as a text, such as its JSON",
      );
    const text = hasResponse ? '' : contentText(message, i, imageMark);
    if (text === null && !(isModel(message) && (message.tool_calls?.length ?? 0) > 0))
      fail(`is from '${message.role}' and has no content`);
    // As transformers: what is null is not there.
    const said = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)) as typeof rest;
    const calls = message.tool_calls;
    const name = message.role === 'tool' ? (message.name ?? nameOfCall(messages, i)) : undefined;
    return {
      ...said,
      ...(name !== undefined && { name }),
      ...(calls && { tool_calls: callsForTemplate(calls, i, source) }),
      // Templates call the model `assistant`.
      role: isModel(message) ? 'assistant' : message.role,
      ...(Array.isArray(message.content) &&
        !hasResponse && { content: readsParts ? withoutImages(message.content) : text }),
    };
  });
}

/** A picture is its place alone: what else its part says is for whoever reads it. */
const withoutImages = (parts: readonly (TextPart | ImagePart)[]) =>
  parts.map((part) => (part.type === 'image' ? ({ type: 'image' } as const) : part));

const hasContent = (value: unknown) =>
  value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);

/** Further fields may be there too. */
const fieldsOf = (message: object): Readonly<Record<string, unknown>> => ({ ...message });

/** What a turn thought, by whichever name, and that name; undefined where it has none. */
export function thoughtsIn(message: ChatMessage): { readonly name: string; readonly text: string } | undefined {
  for (const name of reasoningFields) {
    const value = fieldsOf(message)[name];
    if (typeof value === 'string' && value.trim() !== '') return { name, text: value };
  }
  return undefined;
}

function withReasoning(message: ChatMessage): ChatMessage {
  const fields = fieldsOf(message);
  const said = reasoningFields.map((name) => fields[name]).find((value) => value !== undefined && value !== null);
  if (said === undefined) return message;
  return {
    ...{ thinking: said },
    ...message,
    ...(fields['thinking'] === null && { thinking: said }),
    // Whatever it is: a template may read more than texts.
    reasoning_content: said as string,
  };
}
