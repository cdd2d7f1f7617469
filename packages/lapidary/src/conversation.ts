import {
  encodeAsked,
  type AdapterChoice,
  type AnswerEnd,
  type AnswerOptions,
  type AnswerSession,
  type SessionSize,
} from './answer-session.js';
import type { Asked, Question } from './encode-question.js';

/** Tokens that a cache has room for at first: most conversations end before it is outgrown. */
const firstLength = 1024;

/**
 * One conversation, which stays on the device between its turns: of each only what is new is read, behind the longest beginning that it has
 * in common with what was read and answered before it. Another adapter, or more tokens than there is room for, begins anew.
 */
export class Conversation {
  readonly #asked: Asked;
  readonly #openSession: (size: SessionSize & AdapterChoice) => AnswerSession;
  #open: { readonly adapter: string | null; readonly session: AnswerSession } | undefined;

  constructor(asked: Asked, openSession: (size: SessionSize & AdapterChoice) => AnswerSession) {
    this.#asked = asked;
    this.#openSession = openSession;
  }

  /** The next answer, of which one is made at a time; see `TextModel.answer`. */
  async *answer(
    question: Question,
    { images, tools, chatTemplateKwargs, adapter = null, ...options }: AnswerOptions & AdapterChoice = {},
  ): AsyncGenerator<string, AnswerEnd, void> {
    const { maxNewTokens = 256 } = options;
    const beside = { images, tools, chatTemplateKwargs };
    const { prompt, promptTokens, ...ends } = await encodeAsked(this.#asked, question, beside);
    const session = await this.#sessionFor(promptTokens + maxNewTokens, adapter);
    return yield* session.answerPrompt(prompt, { ...options, ...ends });
  }

  /** The one that is open, where it is with this adapter and has room; else another, twice as long where it was too short. */
  async #sessionFor(length: number, adapter: string | null): Promise<AnswerSession> {
    const needed = Math.min(length, this.#asked.model.maxPositionEmbeddings);
    const open = this.#open;
    if (open !== undefined && open.adapter === adapter && open.session.maxLength >= needed) return open.session;
    await this.destroy();
    let maxLength = firstLength;
    while (maxLength < needed) maxLength *= 2;
    const session = this.#openSession({ adapter, maxLength, reusesPrefix: true });
    this.#open = { adapter, session };
    return session;
  }

  /** Gives back cache and programs; the next answer takes new ones. */
  async destroy(): Promise<void> {
    const session = this.#open?.session;
    this.#open = undefined;
    await session?.destroy();
  }
}
