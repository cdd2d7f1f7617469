import type { Gpu } from '@lapidary/gpu';
import { Program, type InputTypes, type ProgramPlan } from '@lapidary/tensor';
import type { GenerationPlan, ModelPrompt, PromptInputs, RestInputs, TokenInputs } from './generation-plan.js';
import { placeTokens, type PlacedTokens } from './models/place-pictures.js';
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
  readonly #restPrograms: Programs<RestInputs> = new Map();
  readonly #tokenPrograms: Programs<TokenInputs> = new Map();
  /** The one that was used longest ago stands first. */
  readonly #freeRows: number[];
  /** By row: the tokens whose keys and values it holds, from its first place on. Empty where the plan reuses none. */
  readonly #held: number[][];
  /** i32 [B, S, 4]: see `TokenInputs`. */
  readonly #keyInfo: Int32Array;
  readonly #steps: StepQueue<NextToken, Float32Array>;
  #isDestroyed = false;

  constructor(gpu: Gpu, plan: GenerationPlan) {
    this.#gpu = gpu;
    this.#plan = plan;
    this.#freeRows = Array.from({ length: plan.rows }, (_, i) => i);
    this.#held = this.#freeRows.map(() => []);
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
    const row = this.#occupy(prompt);
    try {
      let next = await this.#takePrompt(prompt, row);
      this.#steps.join(row);
      const promptLength = prompt.tokens.length;
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
        if (this.#reuses(prompt)) this.#held[row]!.push(token);
      }
    } finally {
      this.#release(row);
    }
  }

  /** Logits f32 [V] of the token after `prompt`. @throws ContextLengthError, PromptImagesError, GeneratorStateError */
  async nextLogits(prompt: ModelPrompt): Promise<Float32Array> {
    const row = this.#occupy(prompt);
    try {
      return await this.#takePrompt(prompt, row);
    } finally {
      this.#release(row);
    }
  }

  /** Takes a row of the cache for one answer: that which holds most of its beginning. @throws GeneratorStateError */
  #occupy(prompt: ModelPrompt): number {
    this.#needLive();
    const shared = this.#freeRows.map((row) => this.#sharedWith(prompt, row));
    // Where none holds any: the first one, so that others keep what they hold.
    const [row] = this.#freeRows.splice(shared.indexOf(Math.max(...shared)), 1);
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

  /** What pictures are is not kept: a prompt with some is read whole. */
  #reuses({ patches }: ModelPrompt): boolean {
    return this.#plan.reusesPrefix && (patches === undefined || patches.length === 0);
  }

  /** Tokens at the beginning of a prompt that a row holds already; 0 where it costs no less to read all of it again. */
  #sharedWith(prompt: ModelPrompt, row: number): number {
    if (!this.#reuses(prompt)) return 0;
    const { tokens } = prompt;
    const held = this.#held[row]!;
    // The last token is read in any case: its logits are asked for.
    const most = Math.min(held.length, tokens.length - 1);
    let shared = 0;
    while (shared < most && held[shared] === tokens[shared]) shared++;
    return shared > 0 && this.#plan.pays(tokens.length - shared, tokens.length) ? shared : 0;
  }

  #needLive(): void {
    if (this.#isDestroyed) throw new GeneratorStateError('this generator was destroyed; make another one');
  }

  async #takePrompt(prompt: ModelPrompt, row: number): Promise<Float32Array> {
    if (prompt.tokens.length === 0)
      throw new ContextLengthError('the prompt is empty; it needs at least a beginning-of-sequence token');
    const pictures = this.#plan.picturesIn(prompt);
    const { name, vision, prompt: form } = this.#plan.model;
    if (form.needsPictures && pictures === 0)
      throw new PromptImagesError(
        `${name} answers about a picture, but the prompt has none: give \`images\` (--image), or \`patches\` to a Generator`,
      );
    const count = prompt.tokens.length;
    if (count >= this.maxLength) {
      const places = pictures * (vision?.tokensPerImage ?? 0);
      throw new ContextLengthError(
        `a prompt of ${count} tokens${places > 0 ? ` (${places} of them of images)` : ''} leaves no room in ${this.maxLength}; shorten it${this.maxLength < this.#plan.model.maxPositionEmbeddings ? ' or make the generator longer' : ": that is the model's context"}`,
      );
    }
    const shared = this.#sharedWith(prompt, row);
    // What fails half-way leaves nothing that could be gone on from.
    this.#held[row] = [];
    const logits = shared > 0 ? await this.#readRest(prompt, shared, row) : await this.#readAll(prompt, pictures, row);
    const { blocks } = this.#place(prompt.tokens);
    blocks.forEach((block, i) => this.#keyInfo.set([1, block, i, 0], (row * this.maxLength + i) * 4));
    if (this.#reuses(prompt)) this.#held[row] = [...prompt.tokens];
    return logits;
  }

  /** A prompt's tokens; some models read a prompt in both directions. */
  #place(tokens: readonly number[]): PlacedTokens {
    const { vision, prompt } = this.#plan.model;
    return placeTokens(tokens, vision, prompt.isPrefixBidirectional ? tokens.length : 0);
  }

  /** Logits f32 [V] after a prompt that begins a row. */
  #readAll({ tokens, patches }: ModelPrompt, pictures: number, row: number): Promise<Float32Array> {
    const count = tokens.length;
    const { length, plan } = this.#plan.prompt({ tokens: count, pictures });
    const inputIds = new Int32Array(length);
    const tokenInfo = new Int32Array(length * 4);
    const places = new Int32Array(length).fill(-1);
    const slots = places.slice();
    const pictureRows = places.slice();
    const placed = this.#place(tokens);
    inputIds.set(placed.ids);
    pictureRows.set(placed.pictureRows);
    for (let i = 0; i < count; i++) {
      places[i] = i;
      slots[i] = row * this.maxLength + i;
      tokenInfo.set([1, placed.blocks[i]!, i, 0], i * 4);
    }
    const last = Int32Array.of(count - 1);
    return this.#steps.between(() =>
      this.#run(this.#promptPrograms, plan, inputIds, (program, rows) =>
        program.run({
          inputIds,
          tokenInfo,
          places,
          slots,
          last,
          ...rows,
          ...(pictures > 0 && { patches: patches!, pictureRows }),
        }),
      ),
    );
  }

  /** The same where the row holds the prompt's first `shared` tokens. What stands behind them there is not looked at. */
  #readRest({ tokens }: ModelPrompt, shared: number, row: number): Promise<Float32Array> {
    const { maxLength } = this;
    const rest = tokens.slice(shared);
    const { length, plan } = this.#plan.rest(rest.length);
    const inputIds = new Int32Array(length);
    const tokenInfo = new Int32Array(length * 4);
    const places = new Int32Array(length).fill(-1);
    const keyInfo = new Int32Array(maxLength * 4);
    inputIds.set(rest);
    this.#place(tokens).blocks.forEach((block, i) => keyInfo.set([1, block, i, 0], i * 4));
    for (let i = 0; i < rest.length; i++) places[i] = shared + i;
    tokenInfo.set(keyInfo.subarray(shared * 4, tokens.length * 4));
    const slots = Int32Array.from({ length: maxLength }, (_, i) => row * maxLength + i);
    const last = Int32Array.of(rest.length - 1);
    return this.#steps.between(() =>
      this.#run(this.#restPrograms, plan, inputIds, (program, rows) =>
        program.run({ inputIds, tokenInfo, places, slots, keyInfo, last, ...rows }),
      ),
    );
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
    const logits = await this.#run(this.#tokenPrograms, plan, inputIds, (program, rows) =>
      program.run({ inputIds, tokenInfo, slots, keyInfo: this.#keyInfo, ...rows }),
    );
    const size = logits.length / rows;
    return new Map([...asked.keys()].map((row) => [row, logits.subarray(row * size, (row + 1) * size)]));
  }

  /** Runs a program, which is made where it is not yet, with the rows of a table on the host for its tokens, and reads its logits. */
  async #run<T extends InputTypes>(
    programs: Programs<T>,
    plan: ProgramPlan<T, 'logits'>,
    inputIds: Int32Array,
    run: (program: Program<T, 'logits'>, rows: { readonly hostRows?: Uint8Array }) => void,
  ): Promise<Float32Array> {
    this.#needLive();
    const reading = this.#plan.hostRows?.read(inputIds);
    // Whoever waits for it below is told.
    reading?.catch(() => undefined);
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
    const hostRows = await reading;
    this.#needLive();
    run(program, hostRows ? { hostRows } : {});
    return program.read('logits');
  }

  /** Gives back the cache and the programs. An answer that is being made ends with an error. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    await this.#steps.idle();
    await destroyPrograms(this.#promptPrograms);
    await destroyPrograms(this.#restPrograms);
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
