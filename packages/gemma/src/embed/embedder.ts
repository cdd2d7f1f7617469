import type { Gpu } from '@lapidary/gpu';
import { Program, TensorLike, trace, type InputsOf } from '@lapidary/tensor';
import type { EmbeddingHead, Model, ParamTree } from '../families/family.js';
import { hostRowsInput } from '../models/host-rows-input.js';
import { needHostRows, type HostRows } from '../models/host-rows.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { EmbeddingError, promptOf } from './prompt-of.js';
import { cutTokens, textBatch } from './text-batch.js';

/** What vectors are made with. */
export interface EmbedderModel {
  readonly model: Model;
  readonly params: ParamTree;
  readonly tokenizer: Tokenizer;
  /** Where rows of the model's table that stays on the host come from; needed where it has one. */
  readonly hostRows?: HostRows | undefined;
}

/** How texts are computed. */
export interface EmbedderOptions {
  /** Texts that are computed together. Default 8. */
  readonly batchSize?: number;
  /** Most tokens of a text, its prompt and the tokenizer's own among them; what goes beyond is cut off. Default 2048, or the model's context. */
  readonly maxLength?: number;
}

/** How vectors of some texts are made. */
export interface EmbedOptions {
  /** What stands before each text: the name of one of the model's prompts, or a text with a space in it. Default: nothing. */
  readonly prompt?: string;
  /** Values of a vector: one of the model's sizes. Default: all. */
  readonly size?: number;
  /** What to do with a text of more than `maxLength` tokens. Default `truncate`, which is counted. */
  readonly tooLong?: 'truncate' | 'error';
  readonly signal?: AbortSignal;
  /** Called after each batch with how many texts are done. */
  readonly onProgress?: (done: number) => void;
}

/** What is told of texts that became vectors. */
export interface Embedded {
  /** Of each text in order: f32 of unit length. */
  readonly vectors: readonly Float32Array[];
  /** How many texts were cut. */
  readonly cut: number;
  /** Of all texts, prompts and the tokenizer's own among them. */
  readonly tokens: number;
}

type TextInputs = { readonly [K in 'inputIds' | 'tokenInfo' | 'tokenWeights']: TensorLike } & {
  readonly hostRows?: TensorLike;
};
type TextProgram = Program<TextInputs, 'vectors'>;

/**
 * Turns texts into vectors; those of texts that belong together lie close.
 * @example
 * const embedder = new Embedder(gpu, { model, params, tokenizer });
 * const { vectors } = await embedder.embed(['How do I reset it?'], { prompt: 'query', size: 256 });
 * embedder.destroy();
 */
export class Embedder {
  readonly #gpu: Gpu;
  readonly #of: EmbedderModel;
  readonly #head: EmbeddingHead;
  readonly #batchSize: number;
  /** Most tokens of a text. */
  readonly maxLength: number;
  readonly #programs = new Map<number, Promise<TextProgram>>();
  /** The batch that is computed now: programs take one at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws EmbeddingError for a model that makes no vectors, and for a length beyond its context; RangeError; TypeError where rows are needed */
  constructor(gpu: Gpu, of: EmbedderModel, { batchSize = 8, maxLength }: EmbedderOptions = {}) {
    const { embedding, title, maxPositionEmbeddings } = of.model;
    if (embedding === undefined)
      throw new EmbeddingError(`${title} makes no vectors of texts: it answers. EmbeddingGemma is a model that does.`);
    if (maxLength !== undefined && maxLength > maxPositionEmbeddings)
      throw new EmbeddingError(
        `maxLength is ${maxLength}, but ${title} knows texts of at most ${maxPositionEmbeddings} tokens`,
      );
    for (const [name, value] of Object.entries({ batchSize, maxLength: maxLength ?? 2 }))
      if (!Number.isSafeInteger(value) || value < 1)
        throw new RangeError(`${name} is ${value}, not a whole number above 0`);
    needHostRows(of.model, of.hostRows);
    this.#gpu = gpu;
    this.#of = of;
    this.#head = embedding;
    this.#batchSize = batchSize;
    this.maxLength = maxLength ?? Math.min(2048, maxPositionEmbeddings);
  }

  /** @throws EmbeddingError for a size, a prompt or a text that cannot be; IllFormedTextError; the signal's reason */
  async embed(
    texts: readonly string[],
    { prompt, size, tooLong = 'truncate', signal, onProgress }: EmbedOptions = {},
  ): Promise<Embedded> {
    const { sizes, prompts } = this.#head;
    const values = size ?? sizes[0];
    if (!sizes.includes(values))
      throw new EmbeddingError(`the model has no vectors of ${values} values; its sizes are ${sizes.join(', ')}`);
    const before = prompt === undefined ? '' : promptOf(prompts, prompt);
    const { tokenizer } = this.#of;
    let [cut, sum] = [0, 0];
    const encoded = texts.map((text, index) => {
      const whole = tokenizer.encode(before + text);
      if (whole.length === 0) throw new EmbeddingError(`text ${index + 1} is empty`);
      const tokens = cutTokens(whole, this.maxLength, tokenizer.eosId);
      if (tokens.length < whole.length && tooLong === 'error')
        throw new EmbeddingError(
          `text ${index + 1} has ${whole.length} tokens, and at most ${this.maxLength} are taken`,
        );
      cut += Number(tokens.length < whole.length);
      sum += tokens.length;
      return { index, tokens };
    });
    // Similar lengths together: less padding.
    encoded.sort((a, b) => a.tokens.length - b.tokens.length || a.index - b.index);
    const vectors: Float32Array[] = Array.from({ length: texts.length });
    for (let from = 0; from < encoded.length; from += this.#batchSize) {
      signal?.throwIfAborted();
      const part = encoded.slice(from, from + this.#batchSize);
      const made = await this.#inTurn(() => this.#run(part.map(({ tokens }) => tokens)));
      part.forEach(({ index }, i) => (vectors[index] = unitLength(made.subarray(i * sizes[0], i * sizes[0] + values))));
      onProgress?.(from + part.length);
    }
    return { vectors, cut, tokens: sum };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #run(texts: readonly (readonly number[])[]): Promise<Float32Array> {
    const longest = Math.max(...texts.map(({ length }) => length));
    // Few lengths, so that few programs are made.
    const length = Math.min(Math.max(16, 2 ** Math.ceil(Math.log2(longest))), this.maxLength);
    const batch = textBatch(texts.entries(), { batch: this.#batchSize, length });
    const program = await this.#programFor(length);
    const hostRows = await this.#of.hostRows?.read(batch.inputIds);
    program.run({ ...batch, ...(hostRows && { hostRows }) });
    return program.read('vectors');
  }

  #programFor(length: number): Promise<TextProgram> {
    const before = this.#programs.get(length);
    if (before !== undefined) return before;
    const { model, params } = this.#of;
    const batch = this.#batchSize;
    const types: TextInputs = {
      inputIds: new TensorLike('i32', [batch, length]),
      tokenInfo: new TensorLike('i32', [batch, length, 4]),
      tokenWeights: new TensorLike('f32', [batch, length]),
      ...hostRowsInput(this.#of.hostRows, batch * length),
    };
    const build = ({ tokenWeights, ...inputs }: InputsOf<TextInputs>) => ({
      outputs: { vectors: this.#head.embed(params, model.forward(params, inputs).hidden, tokenWeights) },
    });
    const program = Program.create(this.#gpu, trace(this.#gpu.profile, build, types).plan);
    this.#programs.set(length, program);
    return program;
  }

  /** Gives back the memory of its programs; the model's stays. */
  async destroy(): Promise<void> {
    await this.#turn;
    for (const program of await Promise.allSettled(this.#programs.values()))
      if (program.status === 'fulfilled') program.value.destroy();
    this.#programs.clear();
  }
}

/** A copy of a vector that may have been cut, at unit length. */
function unitLength(vector: Float32Array): Float32Array {
  const norm = Math.hypot(...vector);
  return vector.map((value) => (norm > 0 ? value / norm : 0));
}
