import type { AnswerEnd } from '../answer-session.js';
import type { AskedQuestion } from '../engine.js';
import { apiErrorOf } from './api-error.js';
import type { AnswerRequest } from './read-request.js';

/** How one of OpenAI's answers is written. */
export interface AnswerForm {
  /** What ids begin with. */
  readonly prefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** A whole answer, as a field of its choice. */
  whole(text: string): object;
  /** What comes before any text. */
  readonly opening: object | null;
  piece(text: string): object;
  /** What comes with the end. */
  readonly last: object;
}

export const chatForm: AnswerForm = {
  prefix: 'chatcmpl',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  whole: (content) => ({ message: { role: 'assistant', content, refusal: null } }),
  opening: { delta: { role: 'assistant', content: '' } },
  piece: (content) => ({ delta: { content } }),
  last: { delta: {} },
};

export const completionForm: AnswerForm = {
  prefix: 'cmpl',
  object: 'text_completion',
  chunkObject: 'text_completion',
  whole: (text) => ({ text }),
  opening: null,
  piece: (text) => ({ text }),
  last: { text: '' },
};

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
  const reasons = new Map<number, string>();
  const usage = await answerAll(
    work,
    (choice, text) => (texts[choice] += text),
    (choice, { stoppedBy }) => reasons.set(choice, stoppedBy),
  );
  const choices = texts.map((text, index) => ({
    index,
    ...form.whole(text),
    logprobs: null,
    finish_reason: reasons.get(index),
  }));
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
          const usage = await answerAll(
            { ...work, signal: AbortSignal.any([work.signal, gone.signal]) },
            (index, text) => choice(index, form.piece(text)),
            (index, { stoppedBy }) => choice(index, form.last, stoppedBy),
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
