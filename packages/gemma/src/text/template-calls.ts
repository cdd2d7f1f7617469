// Calls of functions and the responses to them, as a chat template reads them.
import { isFields } from '../config/fields.js';
import { ChatTemplateError, type ChatMessage, type ToolCall } from './chat-message.js';
import { parseJsonWithFloats } from './json-float.js';

/** Whether a template asks for what is in a call's arguments. */
const readsFields = (source: string) =>
  /\barguments\b['"]?\]?\s*(?:\|\s*(?:tojson|dictsort|items)\b|\.items\b|is\s+mapping\b|\[)|\bin\s+[\w.[\]'"]*\barguments\b/.test(
    source,
  );

/** Whether a template prints a call's arguments as they are, by themselves or put together with other texts. */
const printsThem = (source: string) =>
  /\barguments\b['"]?\]?\s*(?:-?\}\}|[+~])|[+~]\s*[\w.[\]'"]*\barguments\b['"]?\]?\s*(?:-?\}\}|[+~)])/.test(source);

/**
 * Arguments that are JSON, as OpenAI has them, as the object that they are: templates take objects, and would write the text as one value.
 * As vLLM does; but where a template only prints them, they stay texts.
 * @throws ChatTemplateError for arguments that are no JSON object
 */
export function callsForTemplate(calls: readonly ToolCall[], index: number, source: string): readonly ToolCall[] {
  if (printsThem(source) && !readsFields(source)) return calls;
  return calls.map((call) => {
    const { name, arguments: given } = call.function;
    if (typeof given !== 'string') return call;
    let value: unknown;
    try {
      value = parseJsonWithFloats(given);
    } catch {
      value = undefined;
    }
    if (!isFields(value))
      throw new ChatTemplateError(
        index,
        `message ${index + 1} calls '${name}' with arguments that are no JSON object: ${given.slice(0, 60)}`,
      );
    return { ...call, function: { ...call.function, arguments: value } };
  });
}

/** Whether a content is what functions gave back, `{ name, response }` or several of it, as FunctionGemma's documentation has it. */
export function isResponse(content: unknown): content is object {
  const isOne = (value: unknown) => isFields(value) && 'response' in value;
  return isOne(content) || (Array.isArray(content) && content.length > 0 && content.every(isOne));
}

/** Whether a template tells responses from texts. */
export const readsResponses = (source: string): boolean => /\[\s*['"]response['"]\s*\]|\.response\b/.test(source);

/** The name of what a response answers: OpenAI's say it by the id of the call alone. */
export function nameOfCall(messages: readonly ChatMessage[], index: number): string | undefined {
  const id = messages[index]!.tool_call_id;
  if (typeof id !== 'string') return undefined;
  const calls = messages.slice(0, index).flatMap(({ tool_calls }) => tool_calls ?? []);
  return calls.findLast((call) => call.id === id)?.function.name;
}
