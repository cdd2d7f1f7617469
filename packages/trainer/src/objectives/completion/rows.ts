import { imageParts, showValue, type ChatMessage, type ChatTemplateKwargs, type ChatTools } from '@lapidary/gemma';
import * as v from 'valibot';
import type { RowFormat } from '../../data/data-options.js';
import { DatasetError } from '../../data/errors.js';
import { inOurForm, renamingAdvice } from '../../data/other-forms.js';
import type { Row } from '../objective.js';
import { image, ownPart, part, placeImages, type ImageReference } from './image-parts.js';

const object = v.record(v.string(), v.unknown());
/** What a function gave back: one, or a list. */
const response = v.looseObject({ name: v.optional(v.string()), response: v.unknown() });
const holdsResponse = (content: unknown) =>
  [content].flat().every((each) => typeof each === 'object' && each !== null && 'response' in each);

/** OpenAI's form. Fields beside these reach the chat template too. */
const message = v.looseObject({
  role: v.picklist(['system', 'developer', 'user', 'model', 'assistant', 'tool']),
  // Told by what is there, so that the message says what is wrong with it.
  content: v.nullish(
    v.lazy((content) => {
      if (Array.isArray(content)) return holdsResponse(content) ? v.array(response) : v.array(part);
      return holdsResponse(content) ? response : v.string();
    }),
  ),
  name: v.nullish(v.string()),
  tool_calls: v.nullish(
    v.array(v.looseObject({ function: v.looseObject({ name: v.string(), arguments: v.union([v.string(), object]) }) })),
  ),
  tool_call_id: v.nullish(v.string()),
  tool_responses: v.nullish(v.array(response)),
  reasoning_content: v.nullish(v.string()),
  reasoning: v.nullish(v.string()),
  thinking: v.nullish(v.string()),
  weight: v.nullish(v.picklist([0, 1])),
});
/** A message whose pictures are parts in the house's form. */
function withOwnParts(message: ChatMessage): ChatMessage {
  const { content } = message;
  const isParts = Array.isArray(content) && content.every((each) => 'type' in each);
  return isParts
    ? { ...message, content: content.map((each) => ownPart(each as Parameters<typeof ownPart>[0])) }
    : message;
}

/** null says what leaving a field out says; templates may tell the two apart. */
function withoutNulls(message: ChatMessage): ChatMessage {
  const absent = (['name', 'tool_call_id', 'weight'] as const).filter((field) => message[field] === null);
  if (absent.length === 0) return message;
  const kept: { -readonly [K in keyof ChatMessage]: ChatMessage[K] } = { ...message };
  for (const field of absent) delete kept[field];
  return kept;
}

const forms = {
  completion: v.object({
    prompt: v.string(),
    completion: v.pipe(v.string(), v.nonEmpty('must not be empty')),
    image: v.nullish(image),
    images: v.nullish(v.array(image)),
  }),
  messages: v.object({
    messages: v.pipe(v.array(message), v.nonEmpty('must not be empty')),
    tools: v.nullish(v.array(object)),
    chat_template_kwargs: v.nullish(object),
    image: v.nullish(image),
    images: v.nullish(v.array(image)),
  }),
  text: v.object({ text: v.pipe(v.string(), v.nonEmpty('must not be empty')) }),
} satisfies Record<RowFormat, v.GenericSchema>;
export type { ImageReference } from './image-parts.js';
export type CompletionRow = v.InferOutput<typeof forms.completion>;
/** A conversation in OpenAI's form. */
export interface MessagesRow {
  readonly messages: readonly ChatMessage[];
  readonly tools?: ChatTools | null;
  /** What else the chat template takes. */
  readonly chat_template_kwargs?: ChatTemplateKwargs | null;
}
export type TextRow = v.InferOutput<typeof forms.text>;

/** A row of text, whichever its form, and the line it stands on (or its number in a list). */
export type TextualRow = (CompletionRow | MessagesRow | TextRow) & Row;

/** The pictures of a row, in order. */
export function imagesOf(row: TextualRow): readonly ImageReference[] {
  // `parseRow` has seen to it that each names its picture.
  if ('messages' in row) return imageParts(row.messages).map((each) => each.image as ImageReference);
  return 'prompt' in row ? imagesBeside(row) : [];
}

const imagesBeside = ({ image: first, images }: Pick<CompletionRow, 'image' | 'images'>): readonly ImageReference[] => [
  ...(first ? [first] : []),
  ...(images ?? []),
];

/** Prompt and completion as lists of messages (TRL's conversational form): one conversation, of which the completion is learned. */
function asConversation(value: object): object {
  const { prompt, completion, ...rest } = value as Record<string, unknown>;
  const given = (prompt as unknown[]).map((each) =>
    typeof each === 'object' && each !== null && ['assistant', 'model'].includes((each as { role: string }).role)
      ? { ...each, weight: 0 }
      : each,
  );
  const answer = typeof completion === 'string' ? [{ role: 'assistant', content: completion }] : completion;
  return { messages: [...given, ...(Array.isArray(answer) ? answer : [answer])], ...rest };
}

/** What to do with rows of forms that other tools have. */
const hints: readonly { readonly fields: readonly string[]; readonly advice: string }[] = [
  {
    fields: ['chosen', 'rejected'],
    advice:
      "pairs of preferences are what objective 'dpo' learns from; this one reads {prompt, completion} with the chosen one",
  },
];

function formOf(value: object): RowFormat | undefined {
  if ('messages' in value) return 'messages';
  if (['prompt', 'completion', 'image'].some((field) => field in value)) return 'completion';
  return 'text' in value ? 'text' : undefined;
}

/** What a value is as a row. @throws DatasetError naming line and field */
export function parseRow(value: unknown, file: string, line: number, format: RowFormat | 'auto' = 'auto'): TextualRow {
  const fail = (message: string): never => {
    throw new DatasetError({ file, line, message });
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return fail(`a row must be an object such as {"prompt": "…", "completion": "…"}, not ${showValue(value, 40)}`);
  const renamed = format === 'text' ? value : inOurForm(value, fail);
  const told = format === 'auto' ? formOf(renamed) : format;
  const hint = hints.find(({ fields }) => fields.every((field) => field in value));
  if (told === undefined) {
    const keys = Object.keys(value);
    return fail(
      `a row needs {prompt, completion}, {messages}, {conversations}, {instruction, output} or {text}; this one has: ${keys.slice(0, 20).join(', ') || 'nothing'}. ${hint?.advice ?? renamingAdvice(keys)}`,
    );
  }
  const isConversation = told === 'completion' && 'prompt' in renamed && Array.isArray(renamed.prompt);
  if (told === 'messages' && 'functions' in renamed)
    return fail("field 'functions': OpenAI's functions are called 'tools' now");
  const form = isConversation ? 'messages' : told;
  const given = isConversation ? asConversation(renamed) : renamed;
  if (form !== 'messages' && 'chat_template_kwargs' in renamed && renamed.chat_template_kwargs !== null)
    return fail(
      "field 'chat_template_kwargs' (`data.chatTemplateKwargs`): only conversations go through a chat template, and this row is none",
    );
  const result = v.safeParse(forms[form], given);
  if (!result.success) {
    const issue = result.issues[0];
    const field = v.getDotPath(issue) ?? told;
    return fail(`field '${field}': ${issue.message}${hint ? `. ${hint.advice}` : ''}`);
  }
  // The schema's types say `undefined` where ours say that a field is left out; to templates it is the same.
  const row = result.output as CompletionRow | MessagesRow | TextRow;
  // The schema puts fields that it knows first; templates write objects in the order that they have.
  if ('messages' in row) {
    const { image: _first, images: _images, ...others } = row as MessagesRow & Pick<CompletionRow, 'image' | 'images'>;
    const messages = (given as MessagesRow).messages.map((each) => withOwnParts(withoutNulls(each)));
    const placed = placeImages(messages, imagesBeside(row as Pick<CompletionRow, 'image' | 'images'>), fail);
    return { ...others, messages: placed, line };
  }
  return { ...row, line };
}
