import type { AnswerEnd } from '../answer-session.js';
import type { AskedQuestion } from '../engine.js';
import { apiErrorOf } from './api-error.js';
import type { AnswerRequest } from './read-request.js';
import { createAnswerFilter, toldAnswer, type ToldAnswer, type ToldCall } from './told-answer.js';

/** How one of OpenAI's answers is written. */
export interface AnswerForm {
  /** What ids begin with. */
  readonly prefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** A whole answer, as a field of its choice. */
  whole(answer: ToldAnswer): object;
  /** What comes before any text. */
  readonly opening: object | null;
  piece(text: string): object;
  thoughts(text: string): object;
  /** Calls, as they come at the end. */
  calls(calls: readonly ToldCall[]): object;
  /** What comes with the end. */
  readonly last: object;
}

export const chatForm: AnswerForm = {
  prefix: 'chatcmpl',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  whole: ({ content, thoughts, calls }) => ({
    message: {
      role: 'assistant',
      content,
      refusal: null,
      ...(thoughts !== '' && { reasoning_content: thoughts }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
  }),
  opening: { delta: { role: 'assistant', content: '' } },
  piece: (content) => ({ delta: { content } }),
  thoughts: (text) => ({ delta: { reasoning_content: text } }),
  calls: (calls) => ({ delta: { tool_calls: calls.map((call, index) => ({ index, ...call })) } }),
  last: { delta: {} },
};

export const completionForm: AnswerForm = {
  prefix: 'cmpl',
  object: 'text_completion',
  chunkObject: 'text_completion',
  whole: ({ content }) => ({ text: content }),
  opening: null,
  piece: (text) => ({ text }),
  thoughts: () => ({}),
  calls: () => ({}),
  last: { text: '' },
};

/** Why an answer ended; calls that were cut off are none. */
const reasonOf = ({ calls }: ToldAnswer, { stoppedBy }: AnswerEnd) =>
  calls.length > 0 && stoppedBy === 'stop' ? 'tool_calls' : stoppedBy;

/** What is answered, and how. */
interface Work {
  readonly request: AnswerRequest;
  readonly asked: readonly AskedQuestion[];
  readonly form: AnswerForm;
  /** Most tokens of a prompt and its answer. */
  readonly maxLength: number;
  readonly signal: AbortSignal;
  /** Told of what went wrong. */
  readonly onError: (error: unknown) => void;
}

/** All answers, a row each as there are rows; `onText` gets each piece with the number of its answer. */
async function answerAll(
  { request, asked, maxLength, signal }: Work,
  onText: (choice: number, text: string) => void,
  onEnd: (choice: number, end: AnswerEnd) => void,
): Promise<{ prompt_tokens: number; completion_tokens: number; total_tokens: number }> {
  const { n, settings } = request;
  // One that fails ends the others.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const answers = asked.flatMap((question, i) =>
    Array.from({ length: n }, async (_, j) => {
      const maxTokens = request.maxTokens ?? maxLength - question.promptTokens;
      const answer = question.answer({ ...settings, maxTokens, seed: settings.seed + j, signal: either });
      let next = await answer.next();
      for (; !next.done; next = await answer.next()) onText(i * n + j, next.value);
      onEnd(i * n + j, next.value);
      return next.value.tokens;
    }),
  );
  for (const answer of answers) answer.catch((error: unknown) => failed.abort(error));
  const settled = await Promise.allSettled(answers);
  failed.signal.throwIfAborted();
  signal.throwIfAborted();
  const prompt = asked.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
  const completion = settled.reduce((sum, each) => sum + (each.status === 'fulfilled' ? each.value : 0), 0);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

const headOf = ({ prefix }: AnswerForm, object: string, model: string) => ({
  id: `${prefix}-${crypto.randomUUID().replaceAll('-', '')}`,
  object,
  created: Math.floor(Date.now() / 1000),
  model,
});

/** The answers at once. */
export async function respondWhole(work: Work): Promise<object> {
  const { form, request } = work;
  const texts: string[] = Array.from({ length: request.n * work.asked.length }, () => '');
  const ends = new Map<number, AnswerEnd>();
  const usage = await answerAll(
    work,
    (choice, text) => (texts[choice] += text),
    (choice, end) => ends.set(choice, end),
  );
  const choices = texts.map((text, index) => {
    const answer = toldAnswer(text, request.tells);
    return { index, ...form.whole(answer), logprobs: null, finish_reason: reasonOf(answer, ends.get(index)!) };
  });
  return { ...headOf(form, form.object, request.model), choices, usage };
}

/**
 * The answers as they are made, as server-sent events. Text that nobody has read yet waits here, not in the model: a slow reader keeps no row
 * of the cache.
 */
export function respondStream(work: Work & { readonly onDone: () => void }): ReadableStream<Uint8Array> {
  const { form, request, onError, onDone } = work;
  const head = headOf(form, form.chunkObject, request.model);
  const utf8 = new TextEncoder();
  const gone = new AbortController();
  return new ReadableStream({
    async start(controller) {
      const send = (data: string) => {
        if (!gone.signal.aborted) controller.enqueue(utf8.encode(`data: ${data}\n\n`));
      };
      const usageSoFar = request.includeUsage ? { usage: null } : {};
      const choice = (index: number, fields: object, finish_reason: string | null = null) =>
        send(
          JSON.stringify({ ...head, choices: [{ index, ...fields, logprobs: null, finish_reason }], ...usageSoFar }),
        );
      const run = async () => {
        try {
          const { opening } = form;
          if (opening !== null) for (let i = 0; i < request.n * work.asked.length; i++) choice(i, opening);
          const filters = Array.from({ length: request.n * work.asked.length }, () =>
            createAnswerFilter(request.tells),
          );
          const tell = (index: number, { content, thoughts }: Pick<ToldAnswer, 'content' | 'thoughts'>) => {
            if (thoughts !== '') choice(index, form.thoughts(thoughts));
            if (content !== null && content !== '') choice(index, form.piece(content));
          };
          const usage = await answerAll(
            { ...work, signal: AbortSignal.any([work.signal, gone.signal]) },
            (index, text) => tell(index, filters[index]!.push(text)),
            (index, end) => {
              const rest = filters[index]!.end();
              tell(index, rest);
              if (rest.calls.length > 0) choice(index, form.calls(rest.calls));
              choice(index, form.last, reasonOf(rest, end));
            },
          );
          if (request.includeUsage) send(JSON.stringify({ ...head, choices: [], usage }));
          send('[DONE]');
        } catch (error) {
          if (gone.signal.aborted) return;
          onError(error);
          send(JSON.stringify(apiErrorOf(error).body));
        } finally {
          onDone();
        }
        if (!gone.signal.aborted) controller.close();
      };
      // Not awaited: reading begins at once.
      void run();
    },
    cancel: () => gone.abort(new DOMException('the client went away', 'AbortError')),
  });
}
