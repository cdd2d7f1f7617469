import type { HfFiles, HostRows, Model, ModelConfig, Tokenizer, WeightFormat } from '@lapidary/gemma';
import type { DType } from '@lapidary/kernels/dtype';
import type { StoredTensor } from '../container.js';
import type { JsonValue } from '../json-value.js';
import type { LoadReport } from './report.js';

/** A parameter as it will be had without conversion. */
export interface WeightEntry {
  readonly shape: readonly number[];
  /** As stored; f32 where values are changed on the way (the norms of a GGUF). */
  readonly dtype: DType;
  /** The tensor's name in the file. */
  readonly sourceName: string;
  readonly file: string;
}

/** What a parameter is to be. */
export interface WeightTarget {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Where weights go: GPU buffers, files, arrays. */
export interface WeightSink {
  /**
   * A piece of a parameter. `byteOffset` is a multiple of 4; so is the length, but for a parameter's last piece. `bytes`
   * are only valid until the call, or its promise, returns.
   */
  write(path: string, byteOffset: number, bytes: Uint8Array): void | Promise<void>;
  /**
   * A parameter that has no weights in the file and that `allowMissing` lets pass; of a vocabulary that is longer than the
   * file's only the rows from `firstRow` on.
   */
  initialise?(path: string, spec: WeightTarget, firstRow: number): void | Promise<void>;
}

/** What a load may leave out, and how it tells of itself. */
export interface LoadOptions {
  readonly onProgress?: (progress: { bytes: number; totalBytes: number; path: string }) => void;
  readonly signal?: AbortSignal;
  /** Targets that may be without weights; handed to `sink.initialise`. */
  readonly allowMissing?: RegExp | ((path: string) => boolean);
  /** Parameters in the file that may be without a target. */
  readonly allowUnused?: RegExp | ((path: string) => boolean);
  /** Largest piece read at once. Default 8 MiB. */
  readonly chunkBytes?: number;
}

/** A model's weights, their headers read and checked against its configuration. */
export interface OpenedWeights<C extends ModelConfig = ModelConfig> {
  readonly config: C;
  /** The model of this configuration. */
  readonly model: Model<C>;
  readonly format: WeightFormat;
  readonly entries: ReadonlyMap<string, WeightEntry>;
  /**
   * Rows of the parameter that `isOnHost`, which `load` leaves in its file: read until `close`. Undefined where the model has none; where the
   * files lack it, `load` says so.
   */
  readonly hostRows?: HostRows | undefined;
  /** Tensors of other parts of the checkpoint, as stored, which an export passes on: the vision tower beside a text model. */
  readonly passedOn: readonly StoredTensor[];
  /** A GGUF's metadata, or config.json; empty for an npz. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Further JSON files that say what the model is like, by name: `modules.json`. */
  readonly files: HfFiles;
  /** Whether generation_config.json lists the tokens that end answers: then the model's `eosTokenIds` are these. */
  readonly listsEnds?: boolean;
  /** The same files as the weights of `Model.textPart`, where there is one: the rest is passed on. It is closed with this. */
  readonly textPart?: OpenedWeights;
  /** What people should know of the files, in sentences: what they say that is left out of account, what was not read. */
  readonly notices: readonly string[];
  /** A text file that lies beside the weights; undefined where there is none. */
  readText(name: string): Promise<string | undefined>;
  /** Any small file that lies beside the weights; undefined where there is none. */
  readBytes(name: string): Promise<Uint8Array | undefined>;
  /**
   * Streams weights to `sink`. Equal dtypes arrive bit for bit; others are converted piece by piece. Names, shapes and
   * types are all checked before the first byte moves. A table that stays on the host is never among them, and the file that holds it is
   * not compared with the sum of bytes that a hub states: all of it would have to be fetched.
   * @throws {WeightNamesError} @throws {WeightShapeError} @throws {WeightDTypeError} @throws {WeightSourceError}
   */
  load(targets: ReadonlyMap<string, WeightTarget>, sink: WeightSink, options?: LoadOptions): Promise<LoadReport>;
  /**
   * One parameter in pieces, each a multiple of 256 values but for the last and valid until the next is asked for. What `load` finds out
   * about files as wholes (a copy of the table of words that is another, hashes) is not checked.
   * @throws {WeightNamesError} for one that has no weights @throws {WeightDTypeError} @throws {WeightSourceError}
   */
  read(path: string, dtype: DType, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Where a model's weights come from. Nothing is read before `open`. */
export interface WeightLoader<C extends ModelConfig = ModelConfig> {
  /** Reads headers and configuration. @throws what is wrong with the files; see `modelWeightLoader` */
  open(): Promise<OpenedWeights<C>>;
  /** A tokenizer that is at hand; where absent, the one beside the weights is read. */
  readonly tokenizer?: Tokenizer;
  /** What goes into a run's metadata: file or hub id, revision, hashes. Without it the loader's own fields do, as far as JSON holds them. */
  readonly description?: JsonValue;
  /** What it is called where people read it; where absent, the `description`. */
  readonly name?: string;
  /**
   * What an exported adapter names as its base: a hub id, or a folder that its readers have. Where absent, the hub id that the `description`
   * or the files tell of; an adapter of which nothing is known names none.
   */
  readonly baseModel?: string;
}
