import { sameFunctionCalls, splitThoughts, stopTokensOf } from '@lapidary/gemma';
import {
  expectedAnswer,
  openEvalData,
  promptTokens,
  type DataOptions,
  type EvaluatedVariant,
  type Evaluation,
} from '@lapidary/trainer';
import type { TextModel } from '../text-model.js';
import { encodeEvalRows, evalTask, parseEvalRow, type EvalExample } from './eval-rows.js';
import { scoreExamples, type Score } from './score-examples.js';

/** The rows, and how they are read; see `DataOptions`. */
export type EvalData = Pick<
  DataOptions,
  'source' | 'promptKey' | 'completionKey' | 'chatTemplateKwargs' | 'split' | 'config' | 'revision'
>;

/** How a model is evaluated. */
export interface EvaluateOptions {
  /** Rows that are computed together. Default 4. */
  readonly batchSize?: number;
  /** Longest answers, in tokens; where a completion is longer, as long as that one. Default 64. */
  readonly maxTokens?: number;
  readonly onProgress?: (progress: { readonly name: string; readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

/** What one variant makes of the rows. */
interface Measured {
  readonly scores: readonly Score[];
  /** By the place of the example. */
  readonly answers: ReadonlyMap<number, string>;
  readonly seconds: number;
}

/**
 * Perplexity, exact matches and choices of a model by itself, and with each of its adapters, on rows of training or {prompt, choices,
 * answer}. `model` tells what it is called. @throws DatasetError naming file and line; AbortError by the signal
 */
export async function evaluateModel(
  model: TextModel,
  { named, ...rows }: EvalData & { readonly named: { readonly model: string; readonly data: string } },
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { batchSize = 4 } = options;
  const task = evalTask(model.model, model.format, batchSize);
  const data = { ...rows, format: 'auto', lossOn: 'completion', tooLong: 'error' } as const;
  const { train: examples, notices } = await openEvalData(
    data,
    { parseRow: parseEvalRow },
    { encode: (rows, _none, context) => encodeEvalRows(task, rows, context) },
    model,
  );
  const expected = examples.map(({ choice, example }) =>
    choice ? null : expectedAnswer(example.row, model.tokenizer, model.model),
  );
  const names = [null, ...model.adapters];
  const measured: Measured[] = [];
  for (const adapter of names)
    measured.push(await measure(model, { ...options, adapter, task, examples, expected, batchSize }));
  return {
    ...named,
    variants: measured.map((each, i) => describe(names[i] ?? 'base', { examples, expected }, each)),
    answers: examples.flatMap(({ row, example }, i) => {
      const wanted = expected[i]!;
      if (wanted === null) return [];
      const prompt =
        'prompt' in example.row
          ? example.row.prompt
          : model.tokenizer.decode(promptTokens(example.row, model.tokenizer, model.model));
      const answers = measured.map(({ answers }) => {
        const text = answers.get(i)!;
        const sameCalls = haveSameCalls(wanted, text);
        return { text, matches: isMatch(text, wanted), ...(sameCalls !== undefined && { sameCalls }) };
      });
      return [{ line: row.line, prompt, expected: wanted, answers }];
    }),
    choices: groupChoices(examples).map(({ row, places }) => ({
      line: row.line,
      prompt: row.prompt,
      choices: row.choices,
      answer: row.answer,
      scores: measured.map(({ scores }) => {
        const logProbabilities = places.map((i) => -scores[i]!.loss);
        return { logProbabilities, chosen: indexOfLargest(logProbabilities) };
      }),
    })),
    notices,
  };
}

interface MeasureOptions extends EvaluateOptions {
  readonly adapter: string | null;
  readonly task: ReturnType<typeof evalTask>;
  readonly examples: readonly EvalExample[];
  /** Answers in the data, by the places of examples; null where there is none. */
  readonly expected: readonly (string | null)[];
  readonly batchSize: number;
}

async function measure(model: TextModel, options: MeasureOptions): Promise<Measured> {
  const { adapter, task, examples, onProgress, signal } = options;
  const began = performance.now();
  const about = adapter ?? 'base';
  let scored = 0;
  const params = model.params({ adapter });
  const scores = await scoreExamples(
    model.gpu,
    { model: model.model, params, task, hostRows: model.hostRows },
    examples.map(({ example }) => example),
    {
      signal,
      onDone: (count) => {
        scored += count;
        onProgress?.({ name: `Scoring rows (${about})`, done: scored, total: examples.length });
      },
    },
  );
  const answers = await answerAll(model, options);
  return { scores, answers, seconds: (performance.now() - began) / 1000 };
}

/** The likeliest answers to prompts and last turns whose answer is known, several at once. */
async function answerAll(
  model: TextModel,
  { adapter, examples, expected, batchSize, maxTokens = 64, onProgress, signal }: MeasureOptions,
): Promise<Map<number, string>> {
  const asked = examples.flatMap(({ example }, place) => {
    if (expected[place] === null) return [];
    const tokens = promptTokens(example.row, model.tokenizer, model.model);
    // One more than the completion has: an answer that goes on is none.
    const limit = Math.max(maxTokens, example.length - tokens.length + 1);
    return [{ place, tokens, limit, example }];
  });
  const answers = new Map<number, string>();
  if (asked.length === 0) return answers;
  const lengths = asked.map(({ tokens, limit }) => tokens.length + limit);
  const rows = Math.min(batchSize, asked.length);
  const session = model.openSession({ adapter, rows, maxLength: Math.max(...lengths) });
  const waiting = asked.values();
  const answerSome = async () => {
    for (const { place, tokens, limit, example } of waiting) {
      const patches = await example.pictures?.patchesOf(example.row);
      let text = '';
      const prompt = { tokens, ...(patches && { patches }) };
      // As `TextModel.answer`: a conversation's answer is one turn, whatever the model's files list.
      const ends = 'messages' in example.row ? { stopTokens: stopTokensOf(model.model, model.tokenizer) } : {};
      const how = { maxNewTokens: limit, ...ends, ...(signal && { signal }) };
      for await (const part of session.answerPrompt(prompt, how)) text += part;
      answers.set(place, text);
      onProgress?.({ name: `Answering prompts (${adapter ?? 'base'})`, done: answers.size, total: asked.length });
    }
  };
  try {
    await Promise.all(Array.from({ length: rows }, answerSome));
    return answers;
  } finally {
    await session.destroy();
  }
}

/** Thoughts are left out of account: another way to the same answer is as good. */
const saidIn = (answer: string) => splitThoughts(answer).content.trim();
const isMatch = (answer: string, completion: string) => saidIn(answer) === saidIn(completion);
const haveSameCalls = (expected: string, answer: string) => sameFunctionCalls(saidIn(expected), saidIn(answer));

function indexOfLargest(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}

/** The questions, with the places of their choices among the examples. */
function groupChoices(examples: readonly EvalExample[]) {
  const places = new Map<NonNullable<EvalExample['choice']>['row'], number[]>();
  for (const [i, { choice }] of examples.entries())
    if (choice) places.set(choice.row, [...(places.get(choice.row) ?? []), i]);
  return [...places].map(([row, at]) => ({ row, places: at }));
}

function describe(
  name: string,
  { examples, expected }: Pick<MeasureOptions, 'examples' | 'expected'>,
  { scores, answers, seconds }: Measured,
): EvaluatedVariant {
  const texts = examples.flatMap(({ choice }, i) => (choice ? [] : [scores[i]!]));
  const loss = texts.reduce((sum, score) => sum + score.loss, 0);
  const tokens = texts.reduce((sum, score) => sum + score.tokens, 0);
  const matches = [...answers].filter(([i, text]) => isMatch(text, expected[i]!));
  const calls = [...answers].flatMap(([i, text]) => haveSameCalls(expected[i]!, text) ?? []);
  const questions = groupChoices(examples);
  const utf8 = new TextEncoder();
  const right = (scoreOf: (loss: number, choice: string) => number) =>
    questions.filter(({ row, places }) => {
      const values = places.map((at, i) => scoreOf(scores[at]!.loss, row.choices[i]!));
      return indexOfLargest(values) === row.answer;
    }).length;
  const share = (count: number, rows: number) => (rows === 0 ? null : { right: count, rows });
  return {
    name,
    perplexity:
      texts.length === 0 ? null : { value: Math.exp(loss / tokens), loss: loss / tokens, tokens, rows: texts.length },
    exactMatch: share(matches.length, answers.size),
    callMatch: share(calls.filter((isRight) => isRight).length, calls.length),
    choiceAccuracy: share(
      right((nats) => -nats),
      questions.length,
    ),
    choiceAccuracyByLength: share(
      right((nats, choice) => -nats / utf8.encode(choice).length),
      questions.length,
    ),
    seconds,
  };
}
