import type { HostRows, Model, ModelConfig, ParamTree, Tokenizer, WeightFormat } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { checkKernels } from '@lapidary/kernels';
import type { Variable } from '@lapidary/tensor';
import { compareBaseWeights, openModel, type OpenModel, type QuantizeType } from '@lapidary/trainer';
import { readPeftAdapter, type ModelLocation, type WeightLoader } from '@lapidary/weights';
import {
  AnswerSession,
  encodeAsked,
  type AdapterChoice,
  type AnswerEnd,
  type AnswerOptions,
  type EncodedQuestion,
  type SessionSize,
} from './answer-session.js';
import { Conversation } from './conversation.js';
import { questionTokens, type Asked, type BesideQuestion, type Question } from './encode-question.js';
import { loadParameters } from './load-parameters.js';

/** How a model is opened. */
export interface TextModelOptions {
  /** An adapter in PEFT's form, which all answers are with: a LoRA or DoRA, with parameters that were trained whole beside it. */
  readonly adapter?: ModelLocation;
  /** Adapters by name over the one base, in place of `adapter`: each answer says which it is with; by itself it is the base's. */
  readonly adapters?: Readonly<Record<string, ModelLocation>>;
  /** Takes any base that the shapes of adapters fit, though they were trained over other weights. Default false. */
  readonly anyBase?: boolean | undefined;
  /** What the matrices of the base become while they are read: `q8_0`, `q4_0`, `nf4`. Default: they are used as they are in the file. */
  readonly quantize?: QuantizeType | null | undefined;
  /** The device to use; it stays open. Default: the best there is, closed by `destroy`. */
  readonly gpu?: Gpu;
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void;
  /** Told what people should know of the model's files. */
  readonly onNotice?: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** An adapter was asked for by a name that none has. */
export class AdapterNameError extends Error {
  override readonly name = 'AdapterNameError';
}

/** A model on the device, its weights as stored or quantised, that answers prompts. */
export class TextModel {
  readonly config: ModelConfig;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly gpu: Gpu;
  /** Says how its pictures were prepared. */
  readonly format: WeightFormat;
  /** Rows of the model's table that stays on the host, where it has one; read until `destroy`. */
  readonly hostRows: HostRows | undefined;
  readonly #asked: Asked;
  readonly #closeFiles: () => Promise<void>;
  readonly #ownsGpu: boolean;
  readonly #variables: Map<string, Variable>;
  /** By the names of adapters; null: by itself, or with the one adapter. */
  readonly #params: ReadonlyMap<string | null, ParamTree>;

  private constructor(
    { tokenizer, weights }: OpenModel,
    gpu: Gpu,
    ownsGpu: boolean,
    parameters: { readonly variables: Map<string, Variable>; readonly params: ReadonlyMap<string | null, ParamTree> },
  ) {
    this.config = weights.config;
    this.model = weights.model;
    this.tokenizer = tokenizer;
    this.gpu = gpu;
    this.format = weights.format;
    const { model, format, listsEnds = false, hostRows } = weights;
    this.hostRows = hostRows;
    this.#asked = { model, tokenizer, format, listsEnds, hostRows };
    this.#closeFiles = () => weights.close();
    this.#ownsGpu = ownsGpu;
    this.#variables = parameters.variables;
    this.#params = parameters.params;
  }

  /**
   * Loads a model, say of `modelWeightLoader({ from: 'model.gguf' })`.
   * @throws BaseMismatchError for an adapter that was trained over other weights, ConfigError for a base that `quantize` does not fit; what the files and the device throw; then nothing stays on the device.
   */
  static async open(loader: WeightLoader, options: TextModelOptions = {}): Promise<TextModel> {
    const open = await openModel(loader);
    let isOpened = false;
    try {
      for (const notice of open.weights.notices) options.onNotice?.(notice);
      const gpu = options.gpu ?? (await openGpu());
      const variables = new Map<string, Variable>();
      try {
        await checkKernels(gpu);
        const { adapter, adapters: named = {}, ...others } = options;
        const read = (from: ModelLocation) => readPeftAdapter(from, { model: open.model });
        const adapters = [];
        for (const from of adapter === undefined ? Object.values(named) : [adapter]) adapters.push(await read(from));
        const keepsBase = adapter === undefined;
        const { base, adapted, baseWeights } = await loadParameters(gpu, open.weights, variables, {
          ...others,
          adapters,
          keepsBase,
        });
        const names =
          adapter === undefined ? Object.keys(named) : [typeof adapter === 'string' ? adapter : 'of this model'];
        for (const [i, { baseWeights: trained }] of adapters.entries()) {
          if (trained === undefined || baseWeights === undefined || options.anyBase) continue;
          const notice = compareBaseWeights(trained, baseWeights, names[i]!);
          if (notice !== null) options.onNotice?.(notice);
        }
        const params = new Map<string | null, ParamTree>([[null, base ?? adapted[0]!]]);
        if (keepsBase) for (const [i, name] of Object.keys(named).entries()) params.set(name, adapted[i]!);
        const opened = new TextModel(open, gpu, options.gpu === undefined, { variables, params });
        isOpened = true;
        return opened;
      } catch (error) {
        for (const variable of variables.values()) variable.destroy();
        if (options.gpu === undefined) gpu.destroy();
        throw error;
      }
    } finally {
      // A table that stays in its file is read as long as the model is there.
      if (!isOpened || open.weights.hostRows === undefined) await open.weights.close();
    }
  }

  /** Whose chat template messages go through: the one that the model came with, its family's; null where there is none. */
  get chatTemplateFrom(): 'model' | 'family' | null {
    const { takesChat, chatTemplate } = this.model.prompt;
    if (takesChat && this.tokenizer.applyChatTemplate !== undefined) return 'model';
    return chatTemplate === null ? null : 'family';
  }

  /** Names of the adapters that there are. */
  get adapters(): readonly string[] {
    return [...this.#params.keys()].filter((name) => name !== null);
  }

  /** The tree of its parameters. @throws AdapterNameError */
  params({ adapter = null }: AdapterChoice = {}): ParamTree {
    const params = this.#params.get(adapter);
    if (params !== undefined) return params;
    const known =
      this.adapters.length > 0 ? `there are: ${this.adapters.join(', ')}` : 'the model was opened with none';
    throw new AdapterNameError(`no adapter is called '${adapter}'; ${known}`);
  }

  /** Keeps programs and cache between answers, and makes several at once. @throws AdapterNameError */
  openSession({ adapter, ...size }: SessionSize & AdapterChoice): AnswerSession {
    return new AnswerSession(this.gpu, this.#asked, this.params({ adapter: adapter ?? null }), size);
  }

  /** A question as an `AnswerSession` takes it. @throws ChatTemplateError, ImageError, PromptImagesError */
  encode(question: Question, beside: BesideQuestion = {}): Promise<EncodedQuestion> {
    return encodeAsked(this.#asked, question, beside);
  }

  /** Tokens of a question about so many pictures, those of the pictures included. @throws ChatTemplateError, PromptImagesError */
  countTokens(
    question: Question,
    { pictures = 0, ...chat }: { readonly pictures?: number } & Omit<BesideQuestion, 'images'> = {},
  ): number {
    return questionTokens(this.#asked, question, pictures, chat).length;
  }

  /** For a conversation that goes on: what was said is read once. One answer is made at a time. */
  openConversation(): Conversation {
    return new Conversation(this.#asked, (size) => this.openSession(size));
  }

  /**
   * The answer, in pieces as it is made. Messages go through the model's chat template; a text is continued as it stands.
   * A model that knows no chat answers a text, or the one message there is. Thoughts and calls stand in the text between their marks:
   * `splitThoughts` and `readFunctionCalls` of @lapidary/gemma tell them apart.
   * @throws AdapterNameError, ContextLengthError, ChatTemplateError, ImageError, PromptImagesError, SamplingError; AbortError by the signal.
   */
  async *answer(
    question: Question,
    { images, tools, chatTemplateKwargs, adapter, ...options }: AnswerOptions & AdapterChoice = {},
  ): AsyncGenerator<string, AnswerEnd, void> {
    const { maxNewTokens = 256 } = options;
    const beside = { images, tools, chatTemplateKwargs };
    const { prompt, promptTokens, ...ends } = await this.encode(question, beside);
    const maxLength = promptTokens + maxNewTokens;
    const session = this.openSession({ maxLength, ...(adapter !== undefined && { adapter }) });
    try {
      return yield* session.answerPrompt(prompt, { ...options, ...ends });
    } finally {
      await session.destroy();
    }
  }

  /** The logits of the token after a prompt, f32 [V]. @throws as `answer` does */
  async nextLogits(
    question: Question,
    { adapter, ...beside }: Pick<AnswerOptions, keyof BesideQuestion> & AdapterChoice = {},
  ): Promise<Float32Array> {
    const { prompt, promptTokens } = await this.encode(question, beside);
    const maxLength = promptTokens + 1;
    const session = this.openSession({ maxLength, ...(adapter !== undefined && { adapter }) });
    try {
      return await session.nextLogits(prompt);
    } finally {
      await session.destroy();
    }
  }

  /** Gives back the model's memory, the files that it still reads, and the device if it was opened for it. */
  destroy(): void {
    // Nothing waits for a file to be closed, and nothing depends on it.
    if (this.hostRows !== undefined) this.#closeFiles().catch(() => undefined);
    for (const variable of this.#variables.values()) variable.destroy();
    this.#variables.clear();
    if (this.#ownsGpu) this.gpu.destroy();
  }
}
