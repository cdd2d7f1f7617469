import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import {
  embedding,
  Program,
  reshape,
  TensorLike,
  trace,
  Variable,
  type InputsOf,
  type ProgramPlan,
} from '@lapidary/tensor';
import { PromptImagesError } from './text/prompt-images-error.js';
import type { ForwardOptions, Model, ParamTree } from './families/family.js';

/** What an answer is asked for: token ids, for a model with a vision tower after images. */
export interface ModelPrompt {
  /** Of the text alone. */
  readonly tokens: readonly number[];
  /** f32 [I·N, 3·p·p]: patches of I images. */
  readonly patches?: Float32Array;
}

/** Tokens of a prompt's text, and patches of its images. */
export interface PromptSize {
  readonly tokens: number;
  readonly patches: number;
}

/** Sizes of a step: one program each. */
export interface StepShape {
  /** Places for tokens of the text. */
  readonly length: number;
  /** Patches of images before it. */
  readonly patches: number;
}

/** How answers are generated. */
export interface GenerationOptions extends Omit<ForwardOptions, 'cache' | 'loraDropout' | 'gradientCheckpointing'> {
  /** Most tokens of images, prompt and answer together, within the model's context; the cache is allocated for so many. */
  readonly maxLength: number;
}

/** Types of a step's inputs. */
type StepInputs = {
  readonly inputIds: TensorLike;
  readonly tokenInfo: TensorLike;
  readonly slots: TensorLike;
  readonly keyInfo: TensorLike;
  /** i32 [1]: the row whose logits are wanted. */
  readonly last: TensorLike;
  readonly patches?: TensorLike;
};
export type GenerationStep = ProgramPlan<StepInputs, 'logits'>;
export type GenerationProgram = Program<StepInputs, 'logits'>;

/** Prompt lengths are rounded up to one of few, so that a new length costs no new program. */
const PROMPT_STEP = 32;

/** The programs and the cache of a generator, planned from a device's profile: nothing is on the device yet. */
export class GenerationPlan {
  readonly model: Model;
  readonly maxLength: number;
  /** Of the layers that have keys and values of their own. */
  readonly cache: readonly { readonly k: Variable; readonly v: Variable }[];
  readonly #profile: DeviceProfile;
  readonly #params: ParamTree;
  readonly #options: ForwardOptions;
  readonly #steps = new Map<string, GenerationStep>();

  constructor(profile: DeviceProfile, params: ParamTree, model: Model, options: GenerationOptions) {
    const { maxLength, ...forward } = options;
    this.model = model;
    this.maxLength = Math.min(maxLength, model.maxPositionEmbeddings);
    this.#profile = profile;
    this.#params = params;
    this.#options = forward;
    this.cache = model.layers.flatMap(({ kvFrom, numKvHeads, headDim }, i) => {
      if (kvFrom !== i) return [];
      const type = { shape: [this.maxLength, numKvHeads * headDim], dtype: 'f32' } as const;
      const variable = (kind: string) => new Variable(`cache ${i} ${kind}`, type, 'cache');
      return [{ k: variable('k'), v: variable('v') }];
    });
  }

  /** Patches in a prompt's pictures. @throws PromptImagesError */
  patchesIn({ patches }: ModelPrompt): number {
    if (patches === undefined) return 0;
    const { vision } = this.model;
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

  /** The step that so many tokens, after so many patches, are taken in. */
  step({ tokens, patches }: PromptSize): {
    readonly key: string;
    readonly shape: StepShape;
    readonly plan: GenerationStep;
  } {
    const room = this.maxLength - patches;
    const length = tokens === 1 && patches === 0 ? 1 : Math.min(Math.ceil(tokens / PROMPT_STEP) * PROMPT_STEP, room);
    const key = `${patches}+${length}`;
    const shape = { length, patches };
    const plan = this.#steps.get(key) ?? this.#trace(shape);
    this.#steps.set(key, plan);
    return { key, shape, plan };
  }

  /** Bytes on the device while such prompts are answered, the model's parameters not counted. */
  plannedBytes(prompts: readonly PromptSize[]): number {
    const cache = this.cache.reduce((n, { k, v }) => n + k.bytes + v.bytes, 0);
    const bytesOf = ({ memory }: GenerationStep) =>
      memory.inputs + memory.outputs + memory.temporaries + memory.overhead;
    return cache + this.#plansFor(prompts).reduce((n, plan) => n + bytesOf(plan), 0);
  }

  /** Compiles what answering such prompts takes; see `Program.prepare`. The parameters need not be there yet. */
  async prepare(gpu: Gpu, prompts: readonly PromptSize[]): Promise<void> {
    await Promise.all(this.#plansFor(prompts).map((plan) => Program.prepare(gpu, plan)));
  }

  #plansFor(prompts: readonly PromptSize[]): GenerationStep[] {
    return [...new Set([{ tokens: 1, patches: 0 }, ...prompts].map((size) => this.step(size).plan))];
  }

  #trace({ length, patches }: StepShape): GenerationStep {
    const i32 = (...shape: number[]) => new TensorLike('i32', shape);
    const { vision } = this.model;
    const types: StepInputs = {
      inputIds: i32(1, length),
      tokenInfo: i32(1, patches + length, 4),
      slots: i32(patches + length),
      keyInfo: i32(1, this.maxLength, 4),
      last: i32(1),
      ...(vision && patches > 0 && { patches: new TensorLike('f32', [1, patches, vision.patchValues]) }),
    };
    return trace(this.#profile, (inputs: InputsOf<StepInputs>) => this.#forward(inputs), types).plan;
  }

  /** The logits after the last token, and the cache with the new keys and values in it. */
  #forward({ slots, keyInfo, last, ...inputs }: InputsOf<StepInputs>) {
    const layers = this.cache.map(({ k, v }) => ({ k: k.tensor, v: v.tensor }));
    const options = { ...this.#options, cache: { layers, slots, keyInfo } };
    const { hidden, cache } = this.model.forward(this.#params, inputs, options);
    const row = embedding(reshape(hidden, [-1, this.model.hiddenSize]), last);
    const updates = cache.flatMap(({ k, v }, i) => [
      { variable: this.cache[i]!.k, value: k },
      { variable: this.cache[i]!.v, value: v },
    ]);
    return { outputs: { logits: this.model.logits(this.#params, row) }, updates };
  }
}

/**
 * Plans the answers of a model for a device's profile; a `Generator` makes them.
 * @example
 * const generator = new Generator(gpu, planGeneration(gpu.profile, params, model, { maxLength: 512 }));
 */
export function planGeneration(
  profile: DeviceProfile,
  params: ParamTree,
  model: Model,
  options: GenerationOptions,
): GenerationPlan {
  return new GenerationPlan(profile, params, model, options);
}
