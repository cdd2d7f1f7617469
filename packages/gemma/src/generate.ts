import type { Gpu } from '@lapidary/gpu';
import { Program, type InputTypes, type ProgramPlan } from '@lapidary/tensor';
import type { GenerationPlan, ModelPrompt, PromptInputs, TokenInputs } from './generation-plan.js';
import { StepQueue } from './step-queue.js';
import { PromptImagesError } from './text/prompt-images-error.js';
import { greedy } from './text/sampling.js';

/** How one answer is made. */
export interface GenerateOptions {
  /** Most new tokens. */
  readonly maxNewTokens: number;
  /** Chooses a token from the logits f32 [V] of the next one. Default: the largest. */
  readonly choose?: (logits: Float32Array) => number;
  /** Generation ends before any of these. Default: the config's end-of-sequence ids. */
  readonly stopTokens?: readonly number[];
  readonly signal?: AbortSignal;
}

/** Prompt and new tokens do not fit the cache that a generator was made with. */
export class ContextLengthError extends Error {
  override readonly name = 'ContextLengthError';
}

/** A generator was asked for something while all rows of its cache have answers to make, or after it was destroyed. */
export class GeneratorStateError extends Error {
  override readonly name = 'GeneratorStateError';
}

/** The next token of a row, which stands at `position`. */
interface NextToken {
  readonly token: number;
  readonly position: number;
}

type Programs<T extends InputTypes> = Map<ProgramPlan<T, 'logits'>, Promise<Program<T, 'logits'>>>;

/**
 * Generates text, as many answers at once as its plan has rows, with a cache of keys and values on the device. Answers that are asked for
 * their next tokens together take one run of one program; none waits for another that is not asked. An answer that is left before its
 * end, but not by `break`, must be ended by its `return()` to give its row back.
 */
export class Generator {
  readonly #gpu: Gpu;
  readonly #plan: GenerationPlan;
  readonly #promptPrograms: Programs<PromptInputs> = new Map();
  readonly #tokenPrograms: Programs<TokenInputs> = new Map();
  readonly #freeRows: number[];
  /** i32 [B, S, 4]: see `TokenInputs`. */
  readonly #keyInfo: Int32Array;
  readonly #steps: StepQueue<NextToken, Float32Array>;
  #isDestroyed = false;

  constructor(gpu: Gpu, plan: GenerationPlan) {
    this.#gpu = gpu;
    this.#plan = plan;
    this.#freeRows = Array.from({ length: plan.rows }, (_, i) => plan.rows - 1 - i);
    this.#keyInfo = new Int32Array(plan.rows * plan.maxLength * 4);
    this.#steps = new StepQueue((asked) => this.#takeTokens(asked));
  }

  /** Most tokens of images, prompt and answer together. */
  get maxLength(): number {
    return this.#plan.maxLength;
  }

  /**
   * The new tokens, one at a time, without the stop token.
   * @throws ContextLengthError, PromptImagesError, GeneratorStateError; AbortError by the signal
   */
  async *generate(prompt: ModelPrompt, options: GenerateOptions): AsyncGenerator<number, void, void> {
    const { maxNewTokens, choose = greedy, stopTokens = this.#plan.model.eosTokenIds, signal } = options;
    const row = this.#occupy();
    try {
      let next = await this.#takePrompt(prompt, row);
      this.#steps.join(row);
      const promptLength = this.#plan.patchesIn(prompt) + prompt.tokens.length;
      for (let made = 0; made < maxNewTokens; made++) {
        signal?.throwIfAborted();
        const token = choose(next);
        if (stopTokens.includes(token)) return;
        yield token;
        const position = promptLength + made;
        if (made + 1 === maxNewTokens || position >= this.maxLength) return;
        signal?.throwIfAborted();
        this.#needLive();
        next = await this.#steps.ask(row, { token, position });
      }
    } finally {
      this.#release(row);
    }
  }

  /** Logits f32 [V] of the token after `prompt`. @throws ContextLengthError, PromptImagesError, GeneratorStateError */
  async nextLogits(prompt: ModelPrompt): Promise<Float32Array> {
    const row = this.#occupy();
    try {
      return await this.#takePrompt(prompt, row);
    } finally {
      this.#release(row);
    }
  }

  /** Takes a row of the cache for one answer. @throws GeneratorStateError */
  #occupy(): number {
    this.#needLive();
    const row = this.#freeRows.pop();
    if (row === undefined) {
      const { rows } = this.#plan;
      throw new GeneratorStateError(
        rows === 1
          ? 'this generator makes another answer, and has one cache: end that one first, or make a generator for each'
          : `this generator makes ${rows} other answers, as many as its cache has rows: end one first, or plan more rows`,
      );
    }
    return row;
  }

  #release(row: number): void {
    const { maxLength } = this.#plan;
    this.#steps.leave(row);
    this.#keyInfo.fill(0, row * maxLength * 4, (row + 1) * maxLength * 4);
    this.#freeRows.push(row);
  }

  #needLive(): void {
    if (this.#isDestroyed) throw new GeneratorStateError('this generator was destroyed; make another one');
  }

  async #takePrompt(prompt: ModelPrompt, row: number): Promise<Float32Array> {
    if (prompt.tokens.length === 0)
      throw new ContextLengthError('the prompt is empty; it needs at least a beginning-of-sequence token');
    const patches = this.#plan.patchesIn(prompt);
    const { name, prompt: form } = this.#plan.model;
    if (form.needsPictures && patches === 0)
      throw new PromptImagesError(
        `${name} answers about a picture, but the prompt has none: give \`images\` (--image), or \`patches\` to a Generator`,
      );
    const count = patches + prompt.tokens.length;
    if (count >= this.maxLength) {
      throw new ContextLengthError(
        `a prompt of ${count} tokens${patches > 0 ? ` (${patches} of them of images)` : ''} leaves no room in ${this.maxLength}; shorten it${this.maxLength < this.#plan.model.maxPositionEmbeddings ? ' or make the generator longer' : ": that is the model's context"}`,
      );
    }
    const { length, plan } = this.#plan.prompt({ tokens: prompt.tokens.length, patches });
    const inputIds = new Int32Array(length);
    const tokenInfo = new Int32Array((patches + length) * 4);
    const places = new Int32Array(patches + length).fill(-1);
    const slots = places.slice();
    inputIds.set(prompt.tokens);
    for (let i = 0; i < count; i++) {
      places[i] = i;
      slots[i] = row * this.maxLength + i;
      // Some models read a prompt in both directions.
      tokenInfo.set([1, form.isPrefixBidirectional ? 0 : i, i, 0], i * 4);
    }
    const last = Int32Array.of(count - 1);
    const logits = await this.#steps.between(() =>
      this.#run(this.#promptPrograms, plan, (program) =>
        program.run({ inputIds, tokenInfo, places, slots, last, ...(patches > 0 && { patches: prompt.patches! }) }),
      ),
    );
    this.#keyInfo.set(tokenInfo.subarray(0, count * 4), row * this.maxLength * 4);
    return logits;
  }

  /** Logits f32 [V] after the next tokens of some rows. */
  async #takeTokens(asked: ReadonlyMap<number, NextToken>): Promise<Map<number, Float32Array>> {
    const { rows, maxLength, token: plan } = this.#plan;
    const inputIds = new Int32Array(rows);
    const tokenInfo = new Int32Array(rows * 4);
    const slots = new Int32Array(rows).fill(-1);
    for (const [row, { token, position }] of asked) {
      const record = [1, position, position, 0];
      inputIds[row] = token;
      slots[row] = row * maxLength + position;
      tokenInfo.set(record, row * 4);
      this.#keyInfo.set(record, (row * maxLength + position) * 4);
    }
    const logits = await this.#run(this.#tokenPrograms, plan, (program) =>
      program.run({ inputIds, tokenInfo, slots, keyInfo: this.#keyInfo }),
    );
    const size = logits.length / rows;
    return new Map([...asked.keys()].map((row) => [row, logits.subarray(row * size, (row + 1) * size)]));
  }

  /** Runs a program, which is made where it is not yet, and reads its logits. */
  async #run<T extends InputTypes>(
    programs: Programs<T>,
    plan: ProgramPlan<T, 'logits'>,
    run: (program: Program<T, 'logits'>) => void,
  ): Promise<Float32Array> {
    this.#needLive();
    let made = programs.get(plan);
    if (made === undefined) {
      for (const { k, v } of this.#plan.cache) {
        k.allocate(this.#gpu);
        v.allocate(this.#gpu);
      }
      made = Program.create(this.#gpu, plan);
      programs.set(plan, made);
      made.catch(() => programs.delete(plan));
    }
    const program = await made;
    this.#needLive();
    run(program);
    return program.read('logits');
  }

  /** Gives back the cache and the programs. An answer that is being made ends with an error. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    await this.#steps.idle();
    await destroyPrograms(this.#promptPrograms);
    await destroyPrograms(this.#tokenPrograms);
    for (const { k, v } of this.#plan.cache) {
      k.destroy();
      v.destroy();
    }
  }
}

async function destroyPrograms<T extends InputTypes>(programs: Programs<T>): Promise<void> {
  for (const made of await Promise.allSettled(programs.values())) if (made.status === 'fulfilled') made.value.destroy();
  programs.clear();
}
