import {
  ChatTemplateError,
  contentText,
  createSampler,
  createTextStream,
  decodeImage,
  encodeChatPrompt,
  Generator,
  paramTree,
  planGeneration,
  PromptImagesError,
  stopTokensOf,
  type ChatMessage,
  type Model,
  type ModelConfig,
  type ModelPrompt,
  type ParamTree,
  type SamplingOptions,
  type Tokenizer,
  type WeightFormat,
} from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { checkKernels } from '@lapidary/kernels';
import type { Variable } from '@lapidary/tensor';
import { openModel, type OpenModel } from '@lapidary/trainer';
import { readPeftAdapter, type ModelLocation, type WeightLoader } from '@lapidary/weights';
import { loadParameters } from './load-parameters.js';
import { createStopFilter } from './stop-filter.js';

/** How a model is opened. */
export interface TextModelOptions {
  /** An adapter in PEFT's form: a LoRA or DoRA, with parameters that were trained whole beside it. */
  readonly adapter?: ModelLocation;
  /** The device to use; it stays open. Default: the best there is, closed by `destroy`. */
  readonly gpu?: Gpu;
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void;
  /** Told what people should know of the model's files. */
  readonly onNotice?: (message: string) => void;
  readonly signal?: AbortSignal;
}

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
  readonly signal?: AbortSignal;
}

/** How an answer ended, and what it took. */
export interface AnswerEnd {
  /** Those of pictures included. */
  readonly promptTokens: number;
  readonly tokens: number;
  readonly stoppedBy: 'stop' | 'length';
}

/** A model on the device, its weights as stored, that answers prompts. */
export class TextModel {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly #gpu: Gpu;
  readonly #ownsGpu: boolean;
  readonly #variables: Map<string, Variable>;
  readonly #model: Model;
  readonly #format: WeightFormat;
  readonly #params: ParamTree;
  readonly #listsEnds: boolean;

  private constructor(
    { tokenizer, weights }: OpenModel,
    gpu: Gpu,
    ownsGpu: boolean,
    { variables, params }: { readonly variables: Map<string, Variable>; readonly params: ParamTree },
  ) {
    this.config = weights.config;
    this.#model = weights.model;
    this.#format = weights.format;
    this.#listsEnds = weights.listsEnds === true;
    this.tokenizer = tokenizer;
    this.#gpu = gpu;
    this.#ownsGpu = ownsGpu;
    this.#variables = variables;
    this.#params = params;
  }

  /**
   * Loads a model, say of `modelWeightLoader({ from: 'model.gguf' })`.
   * @throws what the files and the device throw; then nothing stays on the device.
   */
  static async open(loader: WeightLoader, options: TextModelOptions = {}): Promise<TextModel> {
    const open = await openModel(loader);
    try {
      for (const notice of open.weights.notices) options.onNotice?.(notice);
      const gpu = options.gpu ?? (await openGpu());
      const variables = new Map<string, Variable>();
      try {
        await checkKernels(gpu);
        const { adapter: from, ...others } = options;
        const adapter = from === undefined ? undefined : await readPeftAdapter(from, { model: open.model });
        await loadParameters(gpu, open.weights, variables, { adapter, ...others });
        const params = paramTree(variables, adapter?.updates);
        return new TextModel(open, gpu, options.gpu === undefined, { variables, params });
      } catch (error) {
        for (const variable of variables.values()) variable.destroy();
        if (options.gpu === undefined) gpu.destroy();
        throw error;
      }
    } finally {
      await open.weights.close();
    }
  }

  /** Whose chat template messages go through: the one that the model came with, its family's; null where it knows no conversations. */
  get chatTemplateFrom(): 'model' | 'family' | null {
    if (this.#model.prompt.chatTemplate === null) return null;
    return this.tokenizer.applyChatTemplate === undefined ? 'family' : 'model';
  }

  /**
   * The answer, in pieces as it is made. Messages go through the model's chat template; a text is continued as it stands.
   * A model that knows no chat answers a text, or the one message there is.
   * @throws ContextLengthError, ChatTemplateError, ImageError, PromptImagesError, SamplingError; AbortError by the signal.
   */
  async *answer(
    prompt: string | readonly ChatMessage[],
    options: AnswerOptions = {},
  ): AsyncGenerator<string, AnswerEnd, void> {
    const { maxNewTokens = 256, stop = [], images = [], signal, ...sampling } = options;
    const asked = await this.#promptOf(prompt, images);
    const promptTokens = this.#lengthOf(asked, images);
    const generator = this.#generator(promptTokens + maxNewTokens);
    const choose = createSampler({ temperature: 0, ...sampling }, asked.tokens);
    const text = createTextStream(this.tokenizer);
    const filter = createStopFilter(stop);
    let count = 0;
    const end = (stoppedBy: AnswerEnd['stoppedBy']) => ({ promptTokens, tokens: count, stoppedBy });
    try {
      const chosen = generator.generate(asked, {
        maxNewTokens,
        choose,
        stopTokens: this.#endsOf(prompt),
        ...(signal && { signal }),
      });
      for await (const token of chosen) {
        count++;
        const part = filter.push(text.push(token));
        if (part !== '') yield part;
        if (filter.stopped) return end('stop');
      }
      const rest = filter.push(text.flush()) + filter.flush();
      if (rest !== '') yield rest;
      const isFull = promptTokens + count > generator.maxLength;
      return end(filter.stopped || (count < maxNewTokens && !isFull) ? 'stop' : 'length');
    } finally {
      await generator.destroy();
    }
  }

  /** The logits of the token after a prompt, f32 [V]. @throws as `answer` does */
  async nextLogits(
    prompt: string | readonly ChatMessage[],
    { images = [] }: Pick<AnswerOptions, 'images'> = {},
  ): Promise<Float32Array> {
    const asked = await this.#promptOf(prompt, images);
    const generator = this.#generator(this.#lengthOf(asked, images) + 1);
    try {
      return await generator.nextLogits(asked);
    } finally {
      await generator.destroy();
    }
  }

  /** As transformers, a text is gone on with until a token that the model's files list, if they do; a turn of a conversation also ends with it. */
  #endsOf(prompt: string | readonly ChatMessage[]): readonly number[] {
    const isListed = this.#listsEnds && typeof prompt === 'string';
    return isListed ? this.#model.eosTokenIds : stopTokensOf(this.#model, this.tokenizer);
  }

  async #promptOf(
    prompt: string | readonly ChatMessage[],
    images: readonly (Uint8Array | Blob)[],
  ): Promise<ModelPrompt> {
    const tokens = this.#tokensOf(prompt);
    return { tokens, ...(images.length > 0 && { patches: await this.#patchesOf(images) }) };
  }

  /** Tokens, those of pictures included. */
  #lengthOf({ tokens }: ModelPrompt, images: readonly unknown[]): number {
    return tokens.length + images.length * (this.#model.vision?.tokensPerImage ?? 0);
  }

  #generator(maxLength: number): Generator {
    return new Generator(this.#gpu, planGeneration(this.#gpu.profile, this.#params, this.#model, { maxLength }));
  }

  /** f32 [I·N, patchValues]. */
  async #patchesOf(images: readonly (Uint8Array | Blob)[]): Promise<Float32Array> {
    const { vision, preparePicture } = this.#model;
    if (vision === undefined || preparePicture === undefined)
      throw new PromptImagesError('this model has no vision tower, but the prompt has pictures');
    const values = vision.tokensPerImage * vision.patchValues;
    const patches = new Float32Array(images.length * values);
    for (const [i, image] of images.entries())
      patches.set(preparePicture(await decodeImage(image), { format: this.#format }), i * values);
    return patches;
  }

  #tokensOf(prompt: string | readonly ChatMessage[]): readonly number[] {
    const { name, prompt: form } = this.#model;
    if (typeof prompt === 'string') return form.encodePrompt(prompt, this.tokenizer);
    const { chatTemplate: template } = form;
    if (template)
      return encodeChatPrompt(this.tokenizer, prompt, {
        template,
        stopTokens: stopTokensOf(this.#model, this.tokenizer),
      });
    const [message, ...others] = prompt;
    if (message === undefined || others.length > 0)
      throw new ChatTemplateError(1, `${name} answers a single message; there is no chat with it`);
    return form.encodePrompt(contentText(message, 0) ?? '', this.tokenizer);
  }

  /** Gives back the model's memory, and the device if it was opened for it. */
  destroy(): void {
    for (const variable of this.#variables.values()) variable.destroy();
    this.#variables.clear();
    if (this.#ownsGpu) this.#gpu.destroy();
  }
}
