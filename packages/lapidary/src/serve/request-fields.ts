import { samplingRules } from '@lapidary/gemma';
import { describeValue, findProblems } from '@lapidary/trainer';
import * as v from 'valibot';
import { ApiError } from './api-error.js';

type Rule = { readonly isAllowed: (value: number) => boolean; readonly allowed: string };

const numberBy = ({ isAllowed, allowed }: Rule) => v.optional(v.pipe(v.number(allowed), v.check(isAllowed, allowed)));

const countUpTo = (most: number) =>
  numberBy({
    isAllowed: (x) => Number.isSafeInteger(x) && x >= 1 && x <= most,
    allowed: `a whole number from 1 to ${most}`,
  });

/** A field whose values change nothing here, or of which only those are taken that ask for nothing. */
const anything = v.optional(v.unknown());
const only = (isNeutral: (value: unknown) => boolean, allowed: string) =>
  v.optional(v.pipe(v.unknown(), v.check(isNeutral, allowed)));
const one = (neutral: unknown) =>
  only((value) => value === neutral, `only ${JSON.stringify(neutral)}: the rest is not supported`);
const nothing = only(
  (value) => typeof value === 'object' && Object.keys(value ?? {}).length === 0,
  'nothing: this is not supported',
);

/** Most answers of one request. */
export const mostAnswers = 128;

const isText = (value: unknown) => typeof value === 'string' && value !== '';

/** What both kinds of request have. */
export const commonFields = {
  model: v.string("a model's name, see GET /v1/models"),
  stream: v.optional(v.boolean('true or false')),
  stream_options: v.optional(
    v.object(
      { include_usage: v.optional(v.boolean('true or false')), include_obfuscation: one(false) },
      'an object: { include_usage }',
    ),
  ),
  n: countUpTo(mostAnswers),
  max_tokens: countUpTo(2 ** 31),
  temperature: numberBy(samplingRules.temperature),
  top_p: numberBy(samplingRules.topP),
  top_k: numberBy(samplingRules.topK),
  min_p: numberBy(samplingRules.minP),
  repetition_penalty: numberBy(samplingRules.repetitionPenalty),
  seed: numberBy(samplingRules.seed),
  stop: only(
    (value) => isText(value) || (Array.isArray(value) && value.length <= 16 && value.every(isText)),
    'a text, or a list of at most 16 texts, none of them empty',
  ),
  // They ask for what is not done here, but for these values.
  frequency_penalty: one(0),
  presence_penalty: one(0),
  logit_bias: nothing,
  // Harmless: they say who asks, or how a service is paid.
  user: anything,
  metadata: anything,
  service_tier: anything,
} as const;

const tool = v.object(
  {
    type: v.literal('function', "'function'"),
    function: v.object(
      {
        name: v.pipe(v.string("the function's name"), v.nonEmpty("the function's name")),
        description: v.optional(v.string('a text')),
        parameters: v.optional(v.record(v.string(), v.unknown(), 'a JSON schema')),
        strict: v.nullish(v.literal(false, 'only false: answers are not made to fit a schema')),
      },
      'an object: { name, description, parameters }',
    ),
  },
  'an object: { type: "function", function }',
);

export const chatOnlyFields = {
  max_completion_tokens: countUpTo(2 ** 31),
  logprobs: one(false),
  top_logprobs: one(0),
  tools: v.optional(v.array(tool, 'a list of functions')),
  tool_choice: only(
    (value) => value === 'none' || value === 'auto',
    "'none' or 'auto': a model is not made to call a function",
  ),
  parallel_tool_calls: one(true),
  // As in vLLM and llama.cpp: what else the chat template takes.
  chat_template_kwargs: v.optional(v.record(v.string(), v.unknown(), 'an object: { "enable_thinking": true }')),
  response_format: only(
    (value) => (value as { type?: unknown } | null)?.type === 'text',
    '{ type: "text" }: other forms are not supported',
  ),
  modalities: only((value) => Array.isArray(value) && value.every((each) => each === 'text'), '["text"]'),
  store: one(false),
  safety_identifier: anything,
  prompt_cache_key: anything,
} as const;

export const completionOnlyFields = {
  best_of: one(1),
  echo: one(false),
  logprobs: one(0),
  suffix: one(''),
} as const;

/** Most texts of one request that become vectors, as at OpenAI's. */
export const mostTexts = 2048;

export const embeddingFields = {
  model: commonFields.model,
  input: v.union(
    [
      v.pipe(v.string(), v.nonEmpty()),
      v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())), v.minLength(1), v.maxLength(mostTexts)),
    ],
    `a text that is not empty, or a list of 1 to ${mostTexts} of them; tokens are not taken`,
  ),
  dimensions: countUpTo(2 ** 31),
  encoding_format: v.optional(v.picklist(['float', 'base64'], "'float' or 'base64'")),
  // As in Hugging Face's Text Embeddings Inference.
  prompt_name: v.optional(v.string("the name of one of the model's prompts")),
  user: anything,
} as const;

type Settings = {
  readonly [name in 'n' | 'max_tokens' | 'temperature' | 'top_p' | 'top_k' | 'min_p' | 'repetition_penalty' | 'seed']?:
    | number
    | undefined;
} & { readonly stop?: unknown };

/** How answers are sampled, in the words of the house: where nothing is said as at OpenAI's, from all tokens at temperature 1. */
export function samplingOf(fields: Settings) {
  const { stop } = fields;
  return {
    temperature: fields.temperature ?? 1,
    topK: fields.top_k ?? 0,
    topP: fields.top_p ?? 1,
    minP: fields.min_p ?? 0,
    repetitionPenalty: fields.repetition_penalty ?? 1,
    stop: stop === undefined ? [] : ([stop].flat() as string[]),
    seed: fields.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!,
  };
}

/** A body by its schema; null is as if it were not there. @throws ApiError naming the first field that is wrong, or not known */
export function parseFields<T>(schema: v.GenericSchema<unknown, T>, body: unknown): T {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new ApiError(`the body is ${describeValue(body)}; it must be a JSON object`);
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  const problems = findProblems(schema, given);
  const [first] = problems;
  if (first !== undefined) {
    const message = problems
      .map(({ path, found, allowed }) => `${path}: found ${found}; allowed: ${allowed}`)
      .join('\n');
    const isUnknown = first.allowed.startsWith('no such field');
    throw new ApiError(message, { param: first.path, code: isUnknown ? 'unknown_parameter' : 'invalid_value' });
  }
  return v.parse(schema, given);
}
