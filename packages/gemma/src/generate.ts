import type { Gpu } from '@lapidary/gpu';
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
import type { GemmaConfig } from './config.js';
import { gemmaHidden, gemmaLogits, type GemmaOptions, type GemmaParams } from './model.js';

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

/** The largest logit's index. */
export function greedy(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** Prompt lengths are rounded up to one of few, so that a new length costs no new program. */
const PROMPT_STEP = 32;

interface StepProgram {
  readonly program: Program;
  readonly length: number;
}

/** Generates text, one sequence at a time, with a cache of keys and values on the device. */
export class Generator {
  readonly maxLength: number;
  readonly #gpu: Gpu;
  readonly #params: GemmaParams;
  readonly #config: GemmaConfig;
  readonly #options: GemmaOptions;
  readonly #cache: { k: Variable; v: Variable }[];
  readonly #programs = new Map<number, Promise<StepProgram>>();

  /** `maxLength`: most tokens of prompt and answer together; the cache is allocated for so many. */
  constructor(
    gpu: Gpu,
    params: GemmaParams,
    config: GemmaConfig,
    { maxLength, ...options }: GemmaOptions & { readonly maxLength: number },
  ) {
    this.maxLength = maxLength;
    this.#gpu = gpu;
    this.#params = params;
    this.#config = config;
    this.#options = options;
    const shape = [maxLength, config.numKvHeads * config.headDim];
    const variable = (i: number, kind: string) => new Variable(`cache ${i} ${kind}`, { shape, dtype: 'f32' }, 'cache');
    this.#cache = Array.from({ length: config.numLayers }, (_, i) => ({ k: variable(i, 'k'), v: variable(i, 'v') }));
  }

  /** The new tokens, one at a time, without the stop token. */
  async *generate(prompt: readonly number[], options: GenerateOptions): AsyncGenerator<number, void, void> {
    const { maxNewTokens, choose = greedy, stopTokens = this.#config.eosTokenIds, signal } = options;
    if (prompt.length === 0)
      throw new ContextLengthError('the prompt is empty; it needs at least a beginning-of-sequence token');
    if (prompt.length >= this.maxLength) {
      throw new ContextLengthError(
        `a prompt of ${prompt.length} tokens leaves no room in ${this.maxLength}; shorten it or make the generator longer`,
      );
    }
    const keyInfo = new Int32Array(this.maxLength * 4);
    let next = await this.#step(prompt, 0, keyInfo);
    for (let made = 0; made < maxNewTokens; made++) {
      signal?.throwIfAborted();
      const token = choose(next);
      if (stopTokens.includes(token)) return;
      yield token;
      const position = prompt.length + made;
      if (made + 1 === maxNewTokens || position >= this.maxLength) return;
      next = await this.#step([token], position, keyInfo);
    }
  }

  /** Logits f32 [V] of the token after `prompt`. */
  nextLogits(prompt: readonly number[]): Promise<Float32Array> {
    return this.#step(prompt, 0, new Int32Array(this.maxLength * 4));
  }

  async #step(tokens: readonly number[], position: number, keyInfo: Int32Array): Promise<Float32Array> {
    const { program, length } = await this.#program(tokens.length);
    const inputIds = new Int32Array(length);
    const tokenInfo = new Int32Array(length * 4);
    const slots = new Int32Array(length).fill(-1);
    tokens.forEach((token, i) => {
      const at = position + i;
      inputIds[i] = token;
      slots[i] = at;
      tokenInfo.set([1, at, at, 0], i * 4);
      keyInfo.set([1, at, at, 0], at * 4);
    });
    program.run({ inputIds, tokenInfo, slots, keyInfo, last: Int32Array.of(tokens.length - 1) });
    return program.read(0);
  }

  /** Bytes on the device while prompts of these lengths are answered, the model's parameters not counted. */
  plannedBytes(promptLengths: readonly number[]): number {
    const lengths = new Set([1, ...promptLengths.map((n) => this.#bucket(n))]);
    const cache = this.#cache.reduce((n, { k, v }) => n + k.bytes + v.bytes, 0);
    const program = ({ memory }: ProgramPlan) => memory.inputs + memory.outputs + memory.temporaries + memory.overhead;
    return cache + [...lengths].reduce((n, length) => n + program(this.#plan(length)), 0);
  }

  #bucket(tokens: number): number {
    return tokens === 1 ? 1 : Math.min(Math.ceil(tokens / PROMPT_STEP) * PROMPT_STEP, this.maxLength);
  }

  #program(tokens: number): Promise<StepProgram> {
    const length = this.#bucket(tokens);
    let made = this.#programs.get(length);
    if (made === undefined) {
      made = this.#make(length);
      this.#programs.set(length, made);
    }
    return made;
  }

  async #make(length: number): Promise<StepProgram> {
    for (const { k, v } of this.#cache) {
      k.allocate(this.#gpu);
      v.allocate(this.#gpu);
    }
    return { program: await Program.create(this.#gpu, this.#plan(length)), length };
  }

  #plan(length: number): ProgramPlan {
    const i32 = (...shape: number[]) => new TensorLike('i32', shape);
    const types = {
      inputIds: i32(1, length),
      tokenInfo: i32(1, length, 4),
      slots: i32(length),
      keyInfo: i32(1, this.maxLength, 4),
      last: i32(1),
    };
    return trace(
      this.#gpu.profile,
      (inputs: Record<string, Tensor>) => {
        const cache = {
          layers: this.#cache.map(({ k, v }) => ({ k: k.tensor, v: v.tensor })),
          slots: inputs.slots!,
          keyInfo: inputs.keyInfo!,
        };
        const { hidden, cache: stored } = gemmaHidden(
          this.#params,
          this.#config,
          { inputIds: inputs.inputIds!, tokenInfo: inputs.tokenInfo! },
          { ...this.#options, cache },
        );
        const row = embedding(reshape(hidden, [-1, this.#config.hiddenSize]), inputs.last!);
        const updates = stored.flatMap(({ k, v }, i) => [
          { variable: this.#cache[i]!.k, value: k },
          { variable: this.#cache[i]!.v, value: v },
        ]);
        return { outputs: { logits: gemmaLogits(this.#params, this.#config, row) }, updates };
      },
      types,
    ).plan;
  }

  /** Gives back the cache and the programs. */
  async destroy(): Promise<void> {
    for (const made of this.#programs.values()) (await made).program.destroy();
    this.#programs.clear();
    for (const { k, v } of this.#cache) {
      k.destroy();
      v.destroy();
    }
  }
}
