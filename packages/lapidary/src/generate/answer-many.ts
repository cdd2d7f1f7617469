import { ContextLengthError } from '@lapidary/gemma';
import type { AdapterChoice, AnswerEnd, AnswerOptions } from '../answer-session.js';
import type { Question } from '../encode-question.js';
import type { TextModel } from '../text-model.js';

/** A question with the pictures that it is about, which are read when it is its turn. */
export interface AskedOnce {
  readonly question: Question;
  /** How many pictures there are. */
  readonly images: number;
  readImages(): Promise<readonly (Uint8Array | Blob)[]>;
}

/** One of the answers. */
export interface ManyAnswer extends AnswerEnd {
  /** Of the question, from 0. */
  readonly index: number;
  /** Of the answers to it, from 0. */
  readonly sample: number;
  /** Which it was drawn with: that of the first answer, plus `sample`. */
  readonly seed: number;
  readonly text: string;
  readonly seconds: number;
}

/** How many are answered. */
export interface ManyOptions extends Omit<AnswerOptions, 'images'>, AdapterChoice {
  /** Answers to each question. Default 1. */
  readonly samples?: number;
  /** Answers that are made at once. Default 4. */
  readonly rows?: number;
  /** Text as it is made, with the number of its answer among all. */
  readonly onText?: (text: string, place: number) => void;
  /** Each answer when it and all before it are done. */
  readonly onAnswer?: (answer: ManyAnswer) => void;
}

/**
 * Answers to many questions, several of each, some at once. Each is drawn by itself, with a seed of its own: it does not depend on those
 * made beside it. Where it is greedy, it is what one question by itself is answered.
 * @returns the answers to the first question, then those to the next
 * @throws ContextLengthError naming the question, before any is answered; what `TextModel.answer` throws, which ends all
 */
export async function answerMany(
  model: TextModel,
  questions: readonly AskedOnce[],
  {
    samples = 1,
    rows = 4,
    adapter = null,
    seed = 42,
    tools,
    chatTemplateKwargs,
    onText,
    onAnswer,
    signal,
    ...options
  }: ManyOptions = {},
): Promise<ManyAnswer[]> {
  const { maxNewTokens = 256 } = options;
  const { maxPositionEmbeddings: context } = model.model;
  const lengths: number[] = [];
  for (const [i, { question, images }] of questions.entries()) {
    const length = model.countTokens(question, { pictures: images, tools, chatTemplateKwargs });
    if (length >= context)
      throw new ContextLengthError(
        `prompt ${i + 1} has ${length} tokens, which leaves no room for an answer in the model's context of ${context}; shorten it`,
      );
    lengths.push(length);
  }
  const places = questions.flatMap((asked, index) =>
    Array.from({ length: samples }, (_, sample) => ({ ...asked, index, sample, place: index * samples + sample })),
  );
  const session = model.openSession({
    adapter,
    rows: Math.min(rows, places.length),
    maxLength: Math.max(...lengths) + maxNewTokens,
  });
  const answers: ManyAnswer[] = [];
  let told = 0;
  const failed = new AbortController();
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const waiting = places.values();
  const answerSome = async () => {
    for (const { question, readImages, index, sample, place } of waiting) {
      either.throwIfAborted();
      const began = performance.now();
      const beside = { images: await readImages(), tools, chatTemplateKwargs };
      const { prompt, stopTokens, opening } = await session.encode(question, beside);
      const own = { ...options, seed: seed + sample, stopTokens, opening, signal: either };
      const answer = session.answerPrompt(prompt, own);
      let text = '';
      let next = await answer.next();
      for (; !next.done; next = await answer.next()) {
        text += next.value;
        onText?.(next.value, place);
      }
      const seconds = (performance.now() - began) / 1000;
      answers[place] = { index, sample, seed: own.seed, text, ...next.value, seconds };
      for (let done = answers[told]; done !== undefined; done = answers[told]) {
        told++;
        onAnswer?.(done);
      }
    }
  };
  try {
    const workers = Array.from({ length: Math.min(rows, places.length) }, answerSome);
    // One that fails ends the others.
    for (const worker of workers) worker.catch((error: unknown) => failed.abort(error));
    await Promise.allSettled(workers);
    either.throwIfAborted();
    return answers;
  } finally {
    await session.destroy();
  }
}
