import type { ChatMessage, ChatTemplateKwargs, ChatTools, ImagePart, TextPart } from '@lapidary/gemma';
import * as v from 'valibot';
import type { AnswerSettings } from '../engine.js';
import { ApiError } from './api-error.js';
import {
  chatOnlyFields,
  commonFields,
  completionOnlyFields,
  mostAnswers,
  parseFields,
  samplingOf,
} from './request-fields.js';
import type { Telling } from './told-answer.js';

/** A request as it is answered. */
export interface AnswerRequest {
  /** The name of a model. */
  readonly model: string;
  readonly questions: readonly (string | readonly ChatMessage[])[];
  /** Functions that the answers may call. */
  readonly tools?: ChatTools;
  readonly chatTemplateKwargs?: ChatTemplateKwargs;
  readonly tells: Telling;
  /** Pictures that they are about. */
  readonly images: readonly Uint8Array[];
  /** Answers to each. */
  readonly n: number;
  readonly settings: Omit<AnswerSettings, 'maxTokens'>;
  /** Undefined: as long as there is room. */
  readonly maxTokens: number | undefined;
  readonly stream: boolean;
  /** Whether a stream ends with the counts of tokens. */
  readonly includeUsage: boolean;
}

const part = v.variant(
  'type',
  [
    v.object({ type: v.literal('text'), text: v.string('a text') }, 'an object: { type, text }'),
    v.object(
      {
        type: v.literal('image_url'),
        image_url: v.object(
          { url: v.string('a data: URL'), detail: v.optional(v.unknown()) },
          'an object: { url, detail }',
        ),
      },
      'an object: { type, image_url }',
    ),
  ],
  "an object with the type 'text' or 'image_url'",
);

const toolCall = v.object(
  {
    id: v.string('a text'),
    type: v.literal('function', "'function'"),
    function: v.object(
      { name: v.string("the function's name"), arguments: v.string('JSON as a text') },
      'an object: { name, arguments }',
    ),
  },
  'an object: { id, type, function }',
);

const message = v.object(
  {
    role: v.picklist(
      ['system', 'developer', 'user', 'assistant', 'tool'],
      "'system', 'developer', 'user', 'assistant' or 'tool'",
    ),
    content: v.nullish(v.union([v.string(), v.array(part)], 'a text, or a list of parts')),
    name: v.optional(v.string('a text')),
    tool_calls: v.nullish(v.array(toolCall, 'a list of calls')),
    tool_call_id: v.optional(v.string('a text')),
    // What answers have, for clients that send them back.
    refusal: v.optional(v.null('only null')),
    reasoning_content: v.nullish(v.string('a text')),
    reasoning: v.nullish(v.string('a text')),
  },
  'an object: { role, content, name, tool_calls, tool_call_id, reasoning_content }',
);

const chatSchema = v.object({
  ...commonFields,
  ...chatOnlyFields,
  messages: v.pipe(v.array(message, 'a list of messages'), v.minLength(1, 'at least one message')),
});

const completionSchema = v.object({
  ...commonFields,
  ...completionOnlyFields,
  prompt: v.union(
    [v.string(), v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(mostAnswers))],
    `a text, or a list of 1 to ${mostAnswers} texts`,
  ),
});

/** The body of POST /v1/chat/completions. @throws ApiError */
export function readChatRequest(body: unknown): AnswerRequest {
  const fields = parseFields(chatSchema, body);
  if (fields.max_tokens !== undefined && fields.max_completion_tokens !== undefined)
    throw new ApiError('give one of max_tokens and max_completion_tokens', { param: 'max_tokens' });
  const images: Uint8Array[] = [];
  const messages = fields.messages.map(({ content, ...message }, i): ChatMessage => {
    const said = saidBy(message, i);
    if (typeof content === 'string') return { ...said, content };
    if (content === null || content === undefined) return said;
    const parts = content.map((piece, at): TextPart | ImagePart => {
      if (piece.type === 'text') return { type: 'text', text: piece.text };
      images.push(pictureOf(piece.image_url.url, `messages.${i}.content.${at}.image_url.url`));
      return { type: 'image' };
    });
    return { ...said, content: parts };
  });
  const { tools = [], tool_choice: choice, chat_template_kwargs: kwargs } = fields;
  const offersTools = tools.length > 0 && choice !== 'none';
  return requestOf(fields, {
    questions: [messages],
    ...(offersTools && { tools }),
    ...(kwargs && { chatTemplateKwargs: kwargs }),
    tells: { thoughts: true, calls: choice !== 'none' },
    images,
    maxTokens: fields.max_completion_tokens ?? fields.max_tokens,
  });
}

/** A message without its content. @throws ApiError for a field that belongs to another role */
function saidBy(given: Omit<v.InferOutput<typeof message>, 'content'>, index: number): ChatMessage {
  const { role, name, tool_calls: calls, tool_call_id: id } = given;
  const thoughts = given.reasoning_content ?? given.reasoning;
  const check = (field: string, isGiven: boolean, owner: string) => {
    if (isGiven && role !== owner)
      throw new ApiError(`messages.${index}.${field}: only messages of the role '${owner}' have it`, {
        param: `messages.${index}.${field}`,
        code: 'invalid_value',
      });
  };
  check('tool_calls', (calls?.length ?? 0) > 0, 'assistant');
  check(given.reasoning_content ? 'reasoning_content' : 'reasoning', Boolean(thoughts), 'assistant');
  check('tool_call_id', id !== undefined, 'tool');
  return {
    role,
    ...(name !== undefined && { name }),
    ...(calls && calls.length > 0 && { tool_calls: calls }),
    ...(id !== undefined && { tool_call_id: id }),
    ...(thoughts && { reasoning_content: thoughts }),
  };
}

/** The body of POST /v1/completions. @throws ApiError */
export function readCompletionRequest(body: unknown): AnswerRequest {
  const fields = parseFields(completionSchema, body);
  const questions = [fields.prompt].flat();
  if (questions.length * (fields.n ?? 1) > mostAnswers)
    throw new ApiError(`prompts times n may be ${mostAnswers} at most`, { param: 'n', code: 'invalid_value' });
  // As OpenAI's.
  return requestOf(fields, {
    questions,
    tells: { thoughts: false, calls: false },
    images: [],
    maxTokens: fields.max_tokens ?? 16,
  });
}

function requestOf(
  fields: v.InferOutput<typeof chatSchema> | v.InferOutput<typeof completionSchema>,
  asked: Pick<AnswerRequest, 'questions' | 'tools' | 'chatTemplateKwargs' | 'tells' | 'images' | 'maxTokens'>,
): AnswerRequest {
  const stream = fields.stream ?? false;
  if (fields.stream_options !== undefined && !stream)
    throw new ApiError('stream_options needs stream: true', { param: 'stream_options' });
  return {
    ...asked,
    model: fields.model,
    n: fields.n ?? 1,
    settings: samplingOf(fields),
    stream,
    includeUsage: fields.stream_options?.include_usage ?? false,
  };
}

/** The file in a data: URL. What is elsewhere is not fetched: a client could reach through the server what it cannot reach itself. */
function pictureOf(url: string, param: string): Uint8Array {
  const [, base64] = /^data:image\/(?:png|jpeg|webp);base64,([A-Za-z0-9+/]+={0,2})$/.exec(url) ?? [];
  if (base64 === undefined)
    throw new ApiError('a picture must be a data: URL of a PNG, JPEG or WebP in base64; others are not fetched', {
      param,
      code: 'invalid_image_url',
    });
  return new Uint8Array(Buffer.from(base64, 'base64'));
}
