import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import {
  constant,
  embedding,
  Program,
  reshape,
  scatterRows,
  type Tensor,
  TensorLike,
  trace,
  Variable,
  type InputsOf,
  type ProgramPlan,
} from '@lapidary/tensor';
import { EmbeddingModelError } from './config/errors.js';
import { hostRowsInput } from './models/host-rows-input.js';
import { needHostRows, type HostRows } from './models/host-rows.js';
import { PromptImagesError } from './text/prompt-images-error.js';
import type { ForwardOptions, Model, ParamTree } from './families/family.js';
import { checkPictureTokens, pictureTypes } from './models/place-pictures.js';

/** What an answer is asked for. */
export interface ModelPrompt {
  /** Those of pictures included, as `PromptForm.encodePrompt` and `encodeChatPrompt` give them. */
  readonly tokens: readonly number[];
  /** f32 [I·N, 3·p·p]: patches of its I pictures. */
  readonly patches?: Float32Array;
}

/** Tokens of a prompt, those of its pictures included, and how many pictures these are. */
export interface PromptSize {
  readonly tokens: number;
  readonly pictures: number;
}

/** How answers are generated. */
export interface GenerationOptions extends Omit<ForwardOptions, 'cache' | 'loraDropout' | 'gradientCheckpointing'> {
  /** Most tokens of images, prompt and answer together, within the model's context; the cache is allocated for so many of each row. */
  readonly maxLength: number;
  /** Answers that can be made at once, a row of the cache each. Default 1. */
  readonly rows?: number;
  /**
   * A prompt that begins as an earlier one of its row, answer included, takes over the keys and values of that beginning: a conversation
   * is read once. Where sums are made in another order then, logits differ by roundings. Default false: each prompt is read whole.
   */
  readonly reusesPrefix?: boolean;
  /** Where rows of the model's table that stays on the host come from; needed where it has one. */
  readonly hostRows?: HostRows | undefined;
}

/** Inputs of the program that takes in one prompt: L places for tokens, I pictures among them. */
export type PromptInputs = {
  /** i32 [1, L]; −1 where a picture's token stands. */
  readonly inputIds: TensorLike;
  /** i32 [1, L, 4]: (segment, block, position, 0). */
  readonly tokenInfo: TensorLike;
  /** i32 [L]: 0, 1, 2, …; −1 for padding. */
  readonly places: TensorLike;
  /** i32 [L]: rows of the cache for the prompt's keys and values; −1 for padding. */
  readonly slots: TensorLike;
  /** i32 [1]: the place whose logits are wanted. */
  readonly last: TensorLike;
  /** f32 [I, N, 3·p·p] and i32 [1, L]: see `ModelInputs`. */
  readonly patches?: TensorLike;
  readonly pictureRows?: TensorLike;
  /** Rows of the table on the host, see `ModelInputs`; of a model that has one. */
  readonly hostRows?: TensorLike;
};
/** Inputs of the program that takes in L more tokens of one row's prompt. */
export type RestInputs = {
  /** i32 [1, L]. */
  readonly inputIds: TensorLike;
  /** i32 [1, L, 4]: (segment, block, position, 0). */
  readonly tokenInfo: TensorLike;
  /** i32 [L]: the tokens' positions; −1 for padding. */
  readonly places: TensorLike;
  /** i32 [S]: rows of the cache that are this answer's. */
  readonly slots: TensorLike;
  /** i32 [1, S, 4]: records of the row's tokens, the new ones included; segment 0 where there is none. */
  readonly keyInfo: TensorLike;
  /** i32 [1]: the place whose logits are wanted. */
  readonly last: TensorLike;
  /** Rows of the table on the host, see `ModelInputs`; of a model that has one. */
  readonly hostRows?: TensorLike;
};
/** Inputs of the program that takes in the next token of each of B rows. */
export type TokenInputs = {
  /** i32 [B, 1]. */
  readonly inputIds: TensorLike;
  /** i32 [B, 1, 4]; segment 0 for rows that wait. */
  readonly tokenInfo: TensorLike;
  /** i32 [B]: rows of the cache for the tokens' keys and values; −1 for rows that wait. */
  readonly slots: TensorLike;
  /** i32 [B, S, 4]: records of the cached tokens, the new ones included; segment 0 where there is none. */
  readonly keyInfo: TensorLike;
  /** Rows of the table on the host, see `ModelInputs`; of a model that has one. */
  readonly hostRows?: TensorLike;
};
/** Logits f32 [1, V] after a prompt. */
type PromptPlan = ProgramPlan<PromptInputs, 'logits'>;
/** Logits f32 [1, V] after the rest of a prompt. */
type RestPlan = ProgramPlan<RestInputs, 'logits'>;
/** Logits f32 [B, V] after the next token of each row. */
type TokenPlan = ProgramPlan<TokenInputs, 'logits'>;

/** Prompt lengths are rounded up to one of few, so that a new length costs no new program. */
const PROMPT_STEP = 32;

/** The programs and the cache of a generator, planned from a device's profile: nothing is on the device yet. */
export class GenerationPlan {
  readonly model: Model;
  readonly maxLength: number;
  readonly rows: number;
  /** Whether a prompt may go on from what its row of the cache holds. */
  readonly reusesPrefix: boolean;
  readonly hostRows: HostRows | undefined;
  /** f32 [B·S, K·D] of the layers that have keys and values of their own. */
  readonly cache: readonly { readonly k: Variable; readonly v: Variable }[];
  readonly #profile: DeviceProfile;
  readonly #params: ParamTree;
  readonly #options: ForwardOptions;
  readonly #prompts = new Map<string, PromptPlan>();
  readonly #rests = new Map<number, RestPlan>();
  #token: TokenPlan | undefined;

  /** @throws RangeError for rows that are no count; TypeError where `hostRows` are needed */
  constructor(profile: DeviceProfile, params: ParamTree, model: Model, options: GenerationOptions) {
    const { maxLength, rows = 1, reusesPrefix = false, hostRows, ...forward } = options;
    if (!Number.isSafeInteger(rows) || rows < 1)
      throw new RangeError(`rows must be a whole number, 1 or more: ${rows}`);
    needHostRows(model, hostRows);
    this.model = model;
    this.hostRows = hostRows;
    this.maxLength = Math.min(maxLength, model.maxPositionEmbeddings);
    this.rows = rows;
    this.reusesPrefix = reusesPrefix && !model.prompt.isPrefixBidirectional;
    this.#profile = profile;
    this.#params = params;
    this.#options = forward;
    this.cache = model.layers.flatMap(({ kvFrom, numKvHeads, headDim }, i) => {
      if (kvFrom !== i) return [];
      const type = { shape: [rows * this.maxLength, numKvHeads * headDim], dtype: 'f32' } as const;
      const variable = (kind: string) => new Variable(`cache ${i} ${kind}`, type, 'cache');
      return [{ k: variable('k'), v: variable('v') }];
    });
  }

  /** How many pictures a prompt has. @throws PromptImagesError also where its tokens are of another number */
  picturesIn({ tokens, patches }: ModelPrompt): number {
    const { vision } = this.model;
    if (vision === undefined) {
      if (patches === undefined) return 0;
      throw new PromptImagesError('this model has no vision tower, but the prompt has pictures');
    }
    const count = (patches?.length ?? 0) / (vision.patchesPerImage * vision.patchValues);
    if (!Number.isInteger(count)) {
      throw new PromptImagesError(
        `${patches?.length} values are no whole number of pictures of ${vision.imageSize} × ${vision.imageSize} pixels and 3 channels; prepare them with preprocessImage and patchify`,
      );
    }
    checkPictureTokens(tokens, vision, count);
    return count;
  }

  /** The program that takes in a prompt of this size, and its places for tokens. */
  prompt({ tokens, pictures }: PromptSize): { readonly length: number; readonly plan: PromptPlan } {
    const places = pictures * (this.model.vision?.tokensPerImage ?? 0);
    const length = places + placesFor(tokens - places, this.maxLength - places);
    const key = `${pictures}+${length}`;
    const plan = this.#prompts.get(key) ?? this.#tracePrompt(length, pictures);
    this.#prompts.set(key, plan);
    return { length, plan };
  }

  /** Whether it costs less to read the last `rest` tokens of a text than all of it. */
  pays(rest: number, tokens: number): boolean {
    return placesFor(rest, this.maxLength) < placesFor(tokens, this.maxLength);
  }

  /** The program that takes in so many more tokens of a prompt whose beginning is in the cache, and its places for them. */
  rest(tokens: number): { readonly length: number; readonly plan: RestPlan } {
    const length = placesFor(tokens, this.maxLength);
    const plan = this.#rests.get(length) ?? this.#traceRest(length);
    this.#rests.set(length, plan);
    return { length, plan };
  }

  /** The program that takes in the next token of each row. */
  get token(): TokenPlan {
    return (this.#token ??= this.#traceToken());
  }

  /** Bytes on the device while such prompts are answered, the model's parameters not counted. */
  plannedBytes(prompts: readonly PromptSize[]): number {
    const cache = this.cache.reduce((n, { k, v }) => n + k.bytes + v.bytes, 0);
    const bytesOf = ({ memory }: PromptPlan | TokenPlan) =>
      memory.inputs + memory.outputs + memory.temporaries + memory.overhead;
    return cache + bytesOf(this.token) + this.#plansFor(prompts).reduce((n, plan) => n + bytesOf(plan), 0);
  }

  /** Compiles what answering such prompts takes; see `Program.prepare`. The parameters need not be there yet. */
  async prepare(gpu: Gpu, prompts: readonly PromptSize[]): Promise<void> {
    await Promise.all([
      Program.prepare(gpu, this.token),
      ...this.#plansFor(prompts).map((plan) => Program.prepare(gpu, plan)),
    ]);
  }

  #plansFor(prompts: readonly PromptSize[]): PromptPlan[] {
    return [...new Set(prompts.map((size) => this.prompt(size).plan))];
  }

  /** The prompt attends to itself, and leaves its keys and values in the cache. */
  #tracePrompt(length: number, pictures: number): PromptPlan {
    const types: PromptInputs = {
      inputIds: i32(1, length),
      tokenInfo: i32(1, length, 4),
      places: i32(length),
      slots: i32(length),
      last: i32(1),
      ...hostRowsInput(this.hostRows, length),
      ...pictureTypes(this.model, pictures, [1, length]),
    };
    const forward = ({ places, slots, last, ...inputs }: InputsOf<PromptInputs>) => {
      const empty = ({ type }: Variable) => constant(0, [length, type.shape[1]!]);
      const layers = this.cache.map(({ k, v }) => ({ k: empty(k), v: empty(v) }));
      const own = { layers, slots: places, keyInfo: inputs.tokenInfo };
      const { hidden, cache } = this.model.forward(this.#params, inputs, { ...this.#options, cache: own });
      const row = embedding(reshape(hidden, [-1, this.model.hiddenSize]), last);
      const kept = cache.map(({ k, v }, i) => ({
        k: scatterRows(this.cache[i]!.k.tensor, slots, k),
        v: scatterRows(this.cache[i]!.v.tensor, slots, v),
      }));
      return { outputs: { logits: this.model.logits(this.#params, row) }, updates: this.#updates(kept) };
    };
    return trace(this.#profile, forward, types).plan;
  }

  /** New tokens attend to a copy of their row, which then goes back with their keys and values in it. */
  #traceRest(length: number): RestPlan {
    const { maxLength } = this;
    const types: RestInputs = {
      inputIds: i32(1, length),
      tokenInfo: i32(1, length, 4),
      places: i32(length),
      slots: i32(maxLength),
      keyInfo: i32(1, maxLength, 4),
      last: i32(1),
      ...hostRowsInput(this.hostRows, length),
    };
    const forward = ({ places, slots, keyInfo, last, ...inputs }: InputsOf<RestInputs>) => {
      const layers = this.cache.map(({ k, v }) => ({ k: embedding(k.tensor, slots), v: embedding(v.tensor, slots) }));
      const options = { ...this.#options, cache: { layers, slots: places, keyInfo } };
      const { hidden, cache } = this.model.forward(this.#params, inputs, options);
      const row = embedding(reshape(hidden, [-1, this.model.hiddenSize]), last);
      const kept = cache.map(({ k, v }, i) => ({
        k: scatterRows(this.cache[i]!.k.tensor, slots, k),
        v: scatterRows(this.cache[i]!.v.tensor, slots, v),
      }));
      return { outputs: { logits: this.model.logits(this.#params, row) }, updates: this.#updates(kept) };
    };
    return trace(this.#profile, forward, types).plan;
  }

  #traceToken(): TokenPlan {
    const { rows, maxLength } = this;
    const types: TokenInputs = {
      inputIds: i32(rows, 1),
      tokenInfo: i32(rows, 1, 4),
      slots: i32(rows),
      keyInfo: i32(rows, maxLength, 4),
      ...hostRowsInput(this.hostRows, rows),
    };
    const forward = ({ slots, keyInfo, ...inputs }: InputsOf<TokenInputs>) => {
      const layers = this.cache.map(({ k, v }) => ({ k: k.tensor, v: v.tensor }));
      const options = { ...this.#options, cache: { layers, slots, keyInfo } };
      const { hidden, cache } = this.model.forward(this.#params, inputs, options);
      const stream = reshape(hidden, [rows, this.model.hiddenSize]);
      return { outputs: { logits: this.model.logits(this.#params, stream) }, updates: this.#updates(cache) };
    };
    return trace(this.#profile, forward, types).plan;
  }

  #updates(cache: readonly { readonly k: Tensor; readonly v: Tensor }[]) {
    return cache.flatMap(({ k, v }, i) => [
      { variable: this.cache[i]!.k, value: k },
      { variable: this.cache[i]!.v, value: v },
    ]);
  }
}

/** Places that a program has for so many tokens. */
const placesFor = (tokens: number, room: number) =>
  tokens === 1 ? 1 : Math.min(Math.ceil(tokens / PROMPT_STEP) * PROMPT_STEP, room);

const i32 = (...shape: number[]) => new TensorLike('i32', shape);

/**
 * Plans the answers of a model for a device's profile; a `Generator` makes them.
 * @throws EmbeddingModelError for a model that answers nothing; TypeError where `hostRows` are needed
 * @example
 * const generator = new Generator(gpu, planGeneration(gpu.profile, params, model, { maxLength: 512 }));
 */
export function planGeneration(
  profile: DeviceProfile,
  params: ParamTree,
  model: Model,
  options: GenerationOptions,
): GenerationPlan {
  if (model.embedding !== undefined) throw new EmbeddingModelError(model.name);
  return new GenerationPlan(profile, params, model, options);
}
