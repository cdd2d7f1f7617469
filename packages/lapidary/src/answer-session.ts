import {
  createSampler,
  createTextStream,
  Generator,
  planGeneration,
  type ChatTemplateKwargs,
  type ChatTools,
  type ModelPrompt,
  type ParamTree,
  type SamplingOptions,
} from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import {
  encodeQuestion,
  endsOf,
  openingOf,
  type Asked,
  type BesideQuestion,
  type Question,
} from './encode-question.js';
import { createStopFilter } from './stop-filter.js';

/** How an answer is made. `temperature` is 0 where it is left out: always the likeliest token. */
export interface AnswerOptions extends SamplingOptions {
  /** Default 256. */
  readonly maxNewTokens?: number;
  /** The answer ends before any of these texts. */
  readonly stop?: readonly string[];
  /** Of the choices. Default 42. */
  readonly seed?: number;
  /** Pictures that the prompt is about, for a model with a vision tower: files, or what is in them (PNG, JPEG, WebP). */
  readonly images?: readonly (Uint8Array | Blob)[];
  /** Functions that the answer to a conversation may call, in OpenAI's form, where the chat template writes them. */
  readonly tools?: ChatTools | undefined;
  /** What else the chat template takes: `{ enable_thinking: true }`. */
  readonly chatTemplateKwargs?: ChatTemplateKwargs | undefined;
  readonly signal?: AbortSignal;
}

/** Which of the model's adapters. */
export interface AdapterChoice {
  /** A name of `TextModelOptions.adapters`. Default: none, or the one `adapter` that the model was opened with. */
  readonly adapter?: string | null;
}

/** How an answer ended, and what it took. */
export interface AnswerEnd {
  /** Those of pictures included. */
  readonly promptTokens: number;
  readonly tokens: number;
  readonly stoppedBy: 'stop' | 'length';
}

/** A question in tokens. */
export interface EncodedQuestion {
  readonly prompt: ModelPrompt;
  /** Those of pictures included. */
  readonly promptTokens: number;
  /** What ends an answer. */
  readonly stopTokens: readonly number[];
  /** What an answer begins with though the model does not write it: the mark of a thought that the prompt opens. */
  readonly opening: string;
}

/** How an answer to what is encoded already is made. */
export interface PromptAnswerOptions extends Omit<AnswerOptions, keyof BesideQuestion>, Partial<AnswerEnds> {}

/** Of an encoded question. */
type AnswerEnds = Pick<EncodedQuestion, 'stopTokens' | 'opening'>;

/** Sizes of a session. */
export interface SessionSize {
  /** Answers that are made at once; further ones wait. Default 1. */
  readonly rows?: number;
  /** Most tokens of pictures, prompt and answer together, within the model's context: the cache holds so many of each row. */
  readonly maxLength: number;
  /** Prompts that begin as earlier ones are read from where they differ; see `GenerationOptions`. Default false. */
  readonly reusesPrefix?: boolean;
}

/** Programs and a cache that stay on the device between answers. Answers that are made at the same time share the steps of the model. */
export class AnswerSession {
  readonly #asked: Asked;
  readonly #generator: Generator;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(gpu: Gpu, asked: Asked, params: ParamTree, size: SessionSize) {
    this.#asked = asked;
    this.#generator = new Generator(
      gpu,
      planGeneration(gpu.profile, params, asked.model, { ...size, hostRows: asked.hostRows }),
    );
    this.#free = size.rows ?? 1;
  }

  /** Most tokens of pictures, prompt and answer together. */
  get maxLength(): number {
    return this.#generator.maxLength;
  }

  /** See `TextModel.answer`. */
  async *answer(question: Question, options: AnswerOptions = {}): AsyncGenerator<string, AnswerEnd, void> {
    const { images, tools, chatTemplateKwargs, ...others } = options;
    options.signal?.throwIfAborted();
    const { prompt, stopTokens, opening } = await this.encode(question, { images, tools, chatTemplateKwargs });
    return yield* this.answerPrompt(prompt, { ...others, stopTokens, opening });
  }

  /** A question as `answerPrompt` takes it, for several answers to it. @throws ChatTemplateError, ImageError, PromptImagesError */
  async encode(question: Question, beside: BesideQuestion = {}): Promise<EncodedQuestion> {
    return encodeAsked(this.#asked, question, beside);
  }

  /** The answer to what is encoded already; it ends with any of `stopTokens`, by default those that end a text. */
  async *answerPrompt(prompt: ModelPrompt, options: PromptAnswerOptions = {}): AsyncGenerator<string, AnswerEnd, void> {
    const { maxNewTokens = 256, stop = [], stopTokens = endsOf(this.#asked, ''), opening = '', ...rest } = options;
    const { signal, ...sampling } = rest;
    const promptTokens = prompt.tokens.length;
    const { imageToken } = this.#asked.model.vision ?? {};
    const text = prompt.tokens.filter((id) => id !== imageToken);
    const choose = createSampler({ temperature: 0, ...sampling }, text);
    const stream = createTextStream(this.#asked.tokenizer);
    const filter = createStopFilter(stop);
    let count = 0;
    const end = (stoppedBy: AnswerEnd['stoppedBy']) => ({ promptTokens, tokens: count, stoppedBy });
    await this.#takeRow(signal);
    try {
      if (opening !== '') yield opening;
      const chosen = this.#generator.generate(prompt, {
        maxNewTokens,
        choose,
        stopTokens,
        ...(signal && { signal }),
      });
      for await (const token of chosen) {
        count++;
        const part = filter.push(stream.push(token));
        if (part !== '') yield part;
        if (filter.stopped) return end('stop');
      }
      const rest = filter.push(stream.flush()) + filter.flush();
      if (rest !== '') yield rest;
      const isFull = promptTokens + count > this.maxLength;
      return end(filter.stopped || (count < maxNewTokens && !isFull) ? 'stop' : 'length');
    } finally {
      this.#giveRow();
    }
  }

  /** Logits f32 [V] of the token after a prompt. */
  async nextLogits(prompt: ModelPrompt): Promise<Float32Array> {
    await this.#takeRow();
    try {
      return await this.#generator.nextLogits(prompt);
    } finally {
      this.#giveRow();
    }
  }

  /** Waits for its turn, first come, first served. @throws AbortError by the signal */
  async #takeRow(signal?: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(onTurn), 1);
        reject(signal!.reason as Error);
      };
      const onTurn = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      this.#waiting.push(onTurn);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #giveRow(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }

  /** Gives back cache and programs. Answers that are being made end with an error. */
  async destroy(): Promise<void> {
    await this.#generator.destroy();
  }
}

/** See `AnswerSession.encode`. */
export async function encodeAsked(asked: Asked, question: Question, beside: BesideQuestion): Promise<EncodedQuestion> {
  const prompt = await encodeQuestion(asked, question, beside);
  return {
    prompt,
    promptTokens: prompt.tokens.length,
    stopTokens: endsOf(asked, question),
    opening: openingOf(asked, question, prompt),
  };
}
