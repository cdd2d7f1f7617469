import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import {
  embedding,
  Program,
  reshape,
  TensorLike,
  trace,
  Variable,
  type ProgramPlan,
  type Tensor,
} from '@lapidary/tensor';
import type { ForwardOptions, Model, ParamTree } from './families/family.js';

/** What an answer is asked for: token ids, for a model with a vision tower after images. */
export interface ModelPrompt {
  /** Of the text alone. */
  readonly tokens: readonly number[];
  /** f32 [I·N, 3·p·p]: patches of I images. */
  readonly patches?: Float32Array;
}

/** How one answer is made. */
export interface GenerateOptions {
  /** Most new tokens. */
  readonly maxNewTokens: number;
  /** Chooses a token from the logits f32 [V] of the next one. Default: the largest. */
  readonly choose?: (logits: Float32Array) => number;
  /** Generation ends before any of these. Default: the model's end-of-sequence ids. */
  readonly stopTokens?: readonly number[];
  readonly signal?: AbortSignal;
}

/** Prompt and new tokens do not fit the cache that a generator was made with. */
export class ContextLengthError extends Error {
  override readonly name = 'ContextLengthError';
}

/** A prompt with pictures for a model that sees none, or without for one that answers about pictures. */
export class PromptImagesError extends Error {
  override readonly name = 'PromptImagesError';
}

/** The largest logit's index. */
export function greedy(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** Prompt lengths are rounded up to one of few, so that a new length costs no new program. */
const PROMPT_STEP = 32;

/** Tokens of a prompt's text, and patches of its images. */
export interface PromptSize {
  readonly tokens: number;
  readonly patches: number;
}

interface StepShape {
  /** Places for tokens of the text. */
  readonly length: number;
  /** Patches of images before it. */
  readonly patches: number;
}

/** How a generator runs. */
export interface GeneratorOptions extends Omit<ForwardOptions, 'cache' | 'loraDropout' | 'gradientCheckpointing'> {
  /** Most tokens of images, prompt and answer together; the cache is allocated for so many. */
  readonly maxLength: number;
  /** What programs are planned for. Default: the device's profile. */
  readonly profile?: DeviceProfile;
}

/** What a step's program takes. */
type StepInputs = {
  readonly inputIds: Tensor;
  readonly tokenInfo: Tensor;
  readonly slots: Tensor;
  readonly keyInfo: Tensor;
  readonly last: Tensor;
  readonly patches?: Tensor;
};

/** Generates text, one sequence at a time, with a cache of keys and values on the device. */
export class Generator {
  readonly maxLength: number;
  readonly #gpu: Gpu;
  readonly #params: ParamTree;
  readonly #model: Model;
  readonly #profile: DeviceProfile;
  readonly #options: ForwardOptions;
  /** Of the layers that have keys and values of their own. */
  readonly #cache: readonly { readonly k: Variable; readonly v: Variable }[];
  readonly #plans = new Map<string, ProgramPlan>();
  readonly #programs = new Map<string, Promise<Program>>();

  constructor(gpu: Gpu, params: ParamTree, model: Model, options: GeneratorOptions) {
    const { maxLength, profile = gpu.profile, ...forward } = options;
    this.maxLength = maxLength;
    this.#gpu = gpu;
    this.#params = params;
    this.#model = model;
    this.#profile = profile;
    this.#options = forward;
    this.#cache = model.layers.flatMap(({ kvFrom, numKvHeads, headDim }, i) => {
      if (kvFrom !== i) return [];
      const type = { shape: [maxLength, numKvHeads * headDim], dtype: 'f32' } as const;
      const variable = (kind: string) => new Variable(`cache ${i} ${kind}`, type, 'cache');
      return [{ k: variable('k'), v: variable('v') }];
    });
  }

  /**
   * The new tokens, one at a time, without the stop token.
   * @throws ContextLengthError, PromptImagesError; AbortError by the signal
   */
  async *generate(prompt: ModelPrompt, options: GenerateOptions): AsyncGenerator<number, void, void> {
    const { maxNewTokens, choose = greedy, stopTokens = this.#model.eosTokenIds, signal } = options;
    const keyInfo = new Int32Array(this.maxLength * 4);
    let next = await this.#prefill(prompt, keyInfo);
    const promptLength = this.#patchesIn(prompt) + prompt.tokens.length;
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
  }

  /** Logits f32 [V] of the token after `prompt`. @throws ContextLengthError, PromptImagesError */
  nextLogits(prompt: ModelPrompt): Promise<Float32Array> {
    return this.#prefill(prompt, new Int32Array(this.maxLength * 4));
  }

  async #prefill(prompt: ModelPrompt, keyInfo: Int32Array): Promise<Float32Array> {
    if (prompt.tokens.length === 0)
      throw new ContextLengthError('the prompt is empty; it needs at least a beginning-of-sequence token');
    const patches = this.#patchesIn(prompt);
    const length = patches + prompt.tokens.length;
    if (length >= this.maxLength) {
      throw new ContextLengthError(
        `a prompt of ${length} tokens${patches > 0 ? ` (${patches} of them of images)` : ''} leaves no room in ${this.maxLength}; shorten it or make the generator longer`,
      );
    }
    return this.#step(prompt, 0, keyInfo);
  }

  #patchesIn({ patches }: ModelPrompt): number {
    if (patches === undefined) return 0;
    const { vision } = this.#model;
    if (vision === undefined)
      throw new PromptImagesError('this model has no vision tower, but the prompt has pictures');
    const count = patches.length / vision.patchValues;
    if (count % vision.tokensPerImage !== 0) {
      throw new PromptImagesError(
        `${patches.length} values are no whole number of pictures of ${vision.imageSize} × ${vision.imageSize} pixels and 3 channels; prepare them with preprocessImage and patchify`,
      );
    }
    return count;
  }

  /** Tokens that stand from `position` on; those of position 0 are the prompt, which some models read in both directions. */
  async #step(prompt: ModelPrompt, position: number, keyInfo: Int32Array): Promise<Float32Array> {
    const patches = this.#patchesIn(prompt);
    const { length } = this.#shape(prompt.tokens.length, patches);
    const program = await this.#program({ length, patches });
    const isPrefix = this.#model.prompt.isPrefixBidirectional && position === 0;
    const count = patches + prompt.tokens.length;
    const inputIds = new Int32Array(length);
    const tokenInfo = new Int32Array((patches + length) * 4);
    const slots = new Int32Array(patches + length).fill(-1);
    inputIds.set(prompt.tokens);
    for (let i = 0; i < count; i++) {
      const at = position + i;
      slots[i] = at;
      const record = [1, isPrefix ? 0 : at, at, 0];
      tokenInfo.set(record, i * 4);
      keyInfo.set(record, at * 4);
    }
    program.run({
      inputIds,
      tokenInfo,
      slots,
      keyInfo,
      last: Int32Array.of(count - 1),
      ...(prompt.patches && { patches: prompt.patches }),
    });
    return readLogits(program);
  }

  /** Bytes on the device while such prompts are answered, the model's parameters not counted. */
  plannedBytes(prompts: readonly PromptSize[]): number {
    const cache = this.#cache.reduce((n, { k, v }) => n + k.bytes + v.bytes, 0);
    const program = ({ memory }: ProgramPlan) => memory.inputs + memory.outputs + memory.temporaries + memory.overhead;
    return cache + this.#plansFor(prompts).reduce((n, plan) => n + program(plan), 0);
  }

  /** Compiles what answering such prompts takes; see `Program.prepare`. The parameters need not be there yet. */
  async prepare(prompts: readonly PromptSize[]): Promise<void> {
    await Promise.all(this.#plansFor(prompts).map((plan) => Program.prepare(this.#gpu, plan)));
  }

  #plansFor(prompts: readonly PromptSize[]): ProgramPlan[] {
    const shapes = [{ length: 1, patches: 0 }, ...prompts.map(({ tokens, patches }) => this.#shape(tokens, patches))];
    return [...new Map(shapes.map((shape) => [keyOf(shape), shape])).values()].map((shape) => this.#plan(shape));
  }

  #shape(tokens: number, patches: number): StepShape {
    const room = this.maxLength - patches;
    const length = tokens === 1 && patches === 0 ? 1 : Math.min(Math.ceil(tokens / PROMPT_STEP) * PROMPT_STEP, room);
    return { length, patches };
  }

  #program(shape: StepShape): Promise<Program> {
    const key = keyOf(shape);
    let made = this.#programs.get(key);
    if (made === undefined) {
      made = this.#make(shape);
      this.#programs.set(key, made);
    }
    return made;
  }

  async #make(shape: StepShape): Promise<Program> {
    for (const { k, v } of this.#cache) {
      k.allocate(this.#gpu);
      v.allocate(this.#gpu);
    }
    return Program.create(this.#gpu, this.#plan(shape));
  }

  #plan(shape: StepShape): ProgramPlan {
    const key = keyOf(shape);
    const plan = this.#plans.get(key) ?? this.#trace(shape);
    this.#plans.set(key, plan);
    return plan;
  }

  #trace(shape: StepShape): ProgramPlan {
    return trace(this.#profile, (inputs: StepInputs) => this.#forward(inputs), this.#inputTypes(shape)).plan;
  }

  #inputTypes({ length, patches }: StepShape) {
    const i32 = (...shape: number[]) => new TensorLike('i32', shape);
    const { vision } = this.#model;
    return {
      inputIds: i32(1, length),
      tokenInfo: i32(1, patches + length, 4),
      slots: i32(patches + length),
      keyInfo: i32(1, this.maxLength, 4),
      last: i32(1),
      ...(vision && patches > 0 && { patches: new TensorLike('f32', [1, patches, vision.patchValues]) }),
    };
  }

  /** The logits after the last token, and the cache with the new keys and values in it. */
  #forward({ slots, keyInfo, last, ...inputs }: StepInputs) {
    const layers = this.#cache.map(({ k, v }) => ({ k: k.tensor, v: v.tensor }));
    const options = { ...this.#options, cache: { layers, slots, keyInfo } };
    const { hidden, cache } = this.#model.forward(this.#params, inputs, options);
    const row = embedding(reshape(hidden, [-1, this.#model.hiddenSize]), last);
    const updates = cache.flatMap(({ k, v }, i) => [
      { variable: this.#cache[i]!.k, value: k },
      { variable: this.#cache[i]!.v, value: v },
    ]);
    return { outputs: { logits: this.#model.logits(this.#params, row) }, updates };
  }

  /** Gives back the cache and the programs. */
  async destroy(): Promise<void> {
    for (const made of this.#programs.values()) (await made).destroy();
    this.#programs.clear();
    for (const { k, v } of this.#cache) {
      k.destroy();
      v.destroy();
    }
  }
}

const keyOf = ({ length, patches }: StepShape) => `${patches}+${length}`;

const readLogits = (program: Program): Promise<Float32Array> => program.read(0);
