import type { Gpu } from '@lapidary/gpu';
import { Program } from '@lapidary/tensor';
import type { GenerationPlan, GenerationProgram, GenerationStep, ModelPrompt } from './generation-plan.js';
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

/** A generator was asked for something while it makes an answer, which has the only cache there is, or after it was destroyed. */
export class GeneratorStateError extends Error {
  override readonly name = 'GeneratorStateError';
}

/**
 * Generates text, one sequence at a time, with a cache of keys and values on the device. An answer that is left before its end, but
 * not by `break`, must be ended by its `return()` before the next one.
 */
export class Generator {
  readonly #gpu: Gpu;
  readonly #plan: GenerationPlan;
  readonly #programs = new Map<string, Promise<GenerationProgram>>();
  #state: 'free' | 'busy' | 'destroyed' = 'free';

  constructor(gpu: Gpu, plan: GenerationPlan) {
    this.#gpu = gpu;
    this.#plan = plan;
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
    const release = this.#occupy();
    try {
      const keyInfo = new Int32Array(this.maxLength * 4);
      let next = await this.#prefill(prompt, keyInfo);
      const promptLength = this.#plan.patchesIn(prompt) + prompt.tokens.length;
      for (let made = 0; made < maxNewTokens; made++) {
        signal?.throwIfAborted();
        const token = choose(next);
        if (stopTokens.includes(token)) return;
        yield token;
        const position = promptLength + made;
        if (made + 1 === maxNewTokens || position >= this.maxLength) return;
        signal?.throwIfAborted();
        next = await this.#step({ tokens: [token] }, position, keyInfo);
      }
    } finally {
      release();
    }
  }

  /** Logits f32 [V] of the token after `prompt`. @throws ContextLengthError, PromptImagesError, GeneratorStateError */
  async nextLogits(prompt: ModelPrompt): Promise<Float32Array> {
    const release = this.#occupy();
    try {
      return await this.#prefill(prompt, new Int32Array(this.maxLength * 4));
    } finally {
      release();
    }
  }

  /** Takes the cache for one answer, until what it gives is called. @throws GeneratorStateError */
  #occupy(): () => void {
    if (this.#state === 'busy')
      throw new GeneratorStateError(
        'this generator makes another answer, and has one cache: end that one first, or make a generator for each',
      );
    this.#needLive();
    this.#state = 'busy';
    return () => {
      if (this.#state === 'busy') this.#state = 'free';
    };
  }

  #needLive(): void {
    if (this.#state === 'destroyed') throw new GeneratorStateError('this generator was destroyed; make another one');
  }

  async #prefill(prompt: ModelPrompt, keyInfo: Int32Array): Promise<Float32Array> {
    if (prompt.tokens.length === 0)
      throw new ContextLengthError('the prompt is empty; it needs at least a beginning-of-sequence token');
    const patches = this.#plan.patchesIn(prompt);
    const { name, prompt: form } = this.#plan.model;
    if (form.needsPictures && patches === 0)
      throw new PromptImagesError(
        `${name} answers about a picture, but the prompt has none: give \`images\` (--image), or \`patches\` to a Generator`,
      );
    const length = patches + prompt.tokens.length;
    if (length >= this.maxLength) {
      throw new ContextLengthError(
        `a prompt of ${length} tokens${patches > 0 ? ` (${patches} of them of images)` : ''} leaves no room in ${this.maxLength}; shorten it${this.maxLength < this.#plan.model.maxPositionEmbeddings ? ' or make the generator longer' : ": that is the model's context"}`,
      );
    }
    return this.#step(prompt, 0, keyInfo);
  }

  /** Tokens that stand from `position` on; those of position 0 are the prompt, which some models read in both directions. */
  async #step(prompt: ModelPrompt, position: number, keyInfo: Int32Array): Promise<Float32Array> {
    this.#needLive();
    const { model } = this.#plan;
    const patches = this.#plan.patchesIn(prompt);
    const { key, shape, plan } = this.#plan.step({ tokens: prompt.tokens.length, patches });
    const program = await this.#program(key, plan);
    const isPrefix = model.prompt.isPrefixBidirectional && position === 0;
    const count = patches + prompt.tokens.length;
    const inputIds = new Int32Array(shape.length);
    const tokenInfo = new Int32Array((patches + shape.length) * 4);
    const slots = new Int32Array(patches + shape.length).fill(-1);
    inputIds.set(prompt.tokens);
    for (let i = 0; i < count; i++) {
      const at = position + i;
      slots[i] = at;
      const record = [1, isPrefix ? 0 : at, at, 0];
      tokenInfo.set(record, i * 4);
      keyInfo.set(record, at * 4);
    }
    const last = Int32Array.of(count - 1);
    this.#needLive();
    program.run({ inputIds, tokenInfo, slots, keyInfo, last, ...(patches > 0 && { patches: prompt.patches! }) });
    return program.read('logits');
  }

  #program(key: string, plan: GenerationStep): Promise<GenerationProgram> {
    let made = this.#programs.get(key);
    if (made === undefined) {
      for (const { k, v } of this.#plan.cache) {
        k.allocate(this.#gpu);
        v.allocate(this.#gpu);
      }
      made = Program.create(this.#gpu, plan);
      this.#programs.set(key, made);
      made.catch(() => this.#programs.delete(key));
    }
    return made;
  }

  /** Gives back the cache and the programs. An answer that is being made ends with an error. */
  async destroy(): Promise<void> {
    this.#state = 'destroyed';
    for (const made of await Promise.allSettled(this.#programs.values()))
      if (made.status === 'fulfilled') made.value.destroy();
    this.#programs.clear();
    for (const { k, v } of this.#plan.cache) {
      k.destroy();
      v.destroy();
    }
  }
}
