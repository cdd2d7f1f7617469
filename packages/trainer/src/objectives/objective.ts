import type { ForwardOptions, HostRows, Model, ParamTree, Tokenizer, WeightFormat } from '@lapidary/gemma';
import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import type { HostInputs, InputsOf, InputTypes, Tensor, TensorLike } from '@lapidary/tensor';
import type { ObjectEntries } from 'valibot';
import type { ByteStore } from '../data/byte-store.js';
import type { DataOptions, RowFormat } from '../data/data-options.js';
import type { RunLogger } from '../metrics/logger.js';

/** A row as it was read, and the line it stands on (or its number in a list). */
export interface Row {
  readonly line: number;
  /** The file, where the source has several. */
  readonly file?: string;
}

/** A row as an objective learns from it. */
export interface Example {
  readonly row: Row;
  /** Its tokens, places of pictures among them. */
  readonly length: number;
  /** How many of them are places of pictures. */
  readonly patches: number;
  /** The rows that it is made of, where several are packed into one sequence; `row` is the first one's. */
  readonly documents?: readonly Example[];
  /** What is known of its row where that is not in memory: `row` then only says where it stands. */
  readonly stored?: { readonly form: RowFormat; readonly fingerprint: string };
}

/** Examples of one row each: what packed ones are made of, and the others. */
export const documentsOf = <E extends Example>(
  examples: readonly (E & { readonly documents?: readonly E[] })[],
): readonly E[] => examples.flatMap((example) => example.documents ?? [example]);

/** Sizes of one kind of batch: programs are made for each. An objective adds sizes of its own. */
export interface BatchShape {
  /** Rows. */
  readonly batch: number;
  /** Tokens of a row, pictures' places and padding included. */
  readonly length: number;
  /** Pictures of all rows together. Default 0. */
  readonly pictures?: number;
}

/** One micro-batch on the host. */
export interface Batch<S extends BatchShape = BatchShape, T extends InputTypes = InputTypes> {
  readonly shape: S;
  /** Values of the objective's inputs. */
  readonly inputs: HostInputs<T>;
  /** What the losses of the batch are divided by, all batches of a step together: tokens to predict, pairs, … */
  readonly weight: number;
  /** Tokens that are no padding. */
  readonly numTokens: number;
}

/** What a loss is computed with. */
export interface LossContext {
  readonly model: Model;
  readonly params: ParamTree;
  /** The model as it was before training: without its adapter. Only with a LoRA. */
  readonly reference?: ParamTree;
  readonly options: ForwardOptions;
  /** False while evaluating. */
  readonly training: boolean;
}

/** Sums over a batch, f32 with one element; they are divided by the weight of all batches together. */
export interface Loss {
  readonly loss: Tensor;
  /** What else is measured, by name: `accuracy`, `reward margin`. */
  readonly metrics?: Readonly<Record<string, Tensor>>;
}

/** Rows of one source. */
export interface RowSource<R extends Row = Row> {
  readonly rows: readonly R[];
  /** The file that they come from, or the folder of several, for messages. */
  readonly file: string;
  readonly options: Pick<DataOptions, 'lossOn' | 'tooLong'>;
}

/** Where a picture is named. */
export interface PicturePlace {
  /** Of the rows: a path starts in its folder. */
  readonly file: string;
  /** Of the row. */
  readonly line: number;
  /** Among the pictures of the row, from 0. */
  readonly index: number;
}

/** A row as it is encoded, before it is cut or left out: for people to look at. */
export interface InspectedRow {
  readonly row: Row;
  /** What it is called: its fields. */
  readonly form: string;
  /** Of its text alone. */
  readonly tokens: readonly number[];
  /** Lengths of the sequences that the model sees apart, where the tokens are of several. Default: one. */
  readonly sequences?: readonly number[];
  /** 1 where the token is learned. */
  readonly learned: Uint8Array;
  /** Places of its pictures, and what these are called. */
  readonly patches: number;
  readonly pictures: readonly string[];
}

/** What rows become examples with. */
export interface EncodeContext {
  readonly tokenizer: Tokenizer;
  /**
   * Bytes of a picture: a path or a URL that a row names, or a file at hand. Called whenever one is needed, it stops a run whose picture
   * is no longer the one that was learned from. @throws DatasetError, ResumeMismatchError
   */
  readonly readImage: (image: string | Blob, place: PicturePlace) => Promise<Uint8Array>;
}

/** Where rows become examples that are not kept in memory. */
export interface StreamContext extends EncodeContext {
  /** Keeps what examples hold. */
  readonly store: ByteStore;
  /** What tells an example from others. */
  readonly fingerprint: (example: Example) => string;
}

/** Examples of one side of a run, as they came, and of how many rows they are. */
export interface StreamedPart<E extends Example = Example> {
  readonly examples: readonly E[];
  readonly rows: number;
  /** As in `RowSource`. */
  readonly file: string;
}

/** Makes examples of rows that come one by one. */
export interface RowStream<R extends Row = Row, E extends Example = Example> {
  /** The example of a row; undefined where it is left out. @throws DatasetError naming file and line */
  add(row: R, source: Pick<RowSource, 'file' | 'options'>): E | undefined;
  /** What a run has of all that came; the side held out may be without rows. @throws EmptyDatasetError */
  finish(train: StreamedPart<E>, held: StreamedPart<E>): Promise<RunData<E>>;
}

/** The rows of a run as examples. */
export interface RunData<E extends Example = Example> {
  readonly train: readonly E[];
  /** Held out for evaluation and samples. */
  readonly held: readonly E[];
  /** Rows left out or cut, in sentences. */
  readonly notices: readonly string[];
}

/** Where samples of a run come from. */
export interface SampleContext {
  readonly profile: DeviceProfile;
  readonly model: Model;
  /** As they are evaluated: the averages, where a run keeps them. */
  readonly params: ParamTree;
  readonly options: ForwardOptions;
  /** Of a model with a table that stays on the host. */
  readonly hostRows?: HostRows | undefined;
  /** Undefined where only memory is planned and no model is open. */
  readonly tokenizer?: Tokenizer;
}

/** Samples as they will be taken. */
export interface SamplePlan {
  /** Most bytes on the device while they are taken, the model's parameters not counted. */
  readonly bytes: number;
  /** Compiles what they take; the parameters need not be there yet. */
  prepare(gpu: Gpu): Promise<void>;
  /** Takes them after `step` steps, and gives their memory back. A signal ends them early, without an error. */
  take(gpu: Gpu, step: number, told: { readonly logger: RunLogger; readonly signal?: AbortSignal }): Promise<void>;
}

/** Limits of a run that an objective keeps to. */
export interface TaskLimits {
  /** Longest row in tokens of text. */
  readonly maxLength: number;
  /** Rows in a micro-batch. */
  readonly batchSize: number;
  /** Micro-batches in a step. Default 1. */
  readonly gradientAccumulation?: number;
  /** Whether several rows may share a sequence; only asked of objectives that know how (`Objective.packs`). */
  readonly packing: boolean;
  readonly seed: number;
  /** Rows that are answered when samples are taken, and the longest answer in tokens. */
  readonly sampleCount: number;
  readonly sampleTokens: number;
  /** How pictures are prepared; null: as the weights' publisher does it. */
  readonly imagePreset: string | null;
}

/** Types of a joint loss's inputs beside its outputs. */
export type JointTypes = Readonly<Record<string, TensorLike>>;

/**
 * A loss of all rows of a step at once, however many micro-batches they come in: these are computed without gradients first, then the loss of
 * all with the gradient of their outputs, then each again with that (Gao et al. 2021, arXiv:2101.06983).
 */
export interface JointLoss<S extends BatchShape = BatchShape, T extends InputTypes = InputTypes> {
  /** Shape of what it takes of a micro-batch. */
  outputShape(shape: S): readonly number[];
  /** What it takes of a micro-batch, f32. */
  outputs(inputs: InputsOf<T>, context: LossContext): Tensor;
  /** Types of what it is told of `count` micro-batches of a shape; their lengths may differ. */
  types(shape: S, count: number): JointTypes;
  /** The same of batches that are at hand; fewer than `count` where an epoch ends. */
  inputs(batches: readonly Batch<S, T>[], count: number): HostInputs<JointTypes>;
  /** The loss of outputs f32 [count, …outputShape]. */
  loss(outputs: Tensor, inputs: InputsOf<JointTypes>): Loss;
  /** Of outputs of everything that is evaluated, `count` micro-batches a step: means over rows. */
  measure(outputs: readonly Float32Array[], batches: readonly Batch<S, T>[], count: number): Measured;
}

/** What an evaluation tells: means over what losses are divided by. */
export interface Measured {
  readonly loss: number;
  /** What else is measured, by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** An objective for one model and one run. `S` are its batch shapes, `T` its inputs by name, `E` its examples, `R` its rows. */
export interface Task<
  S extends BatchShape = BatchShape,
  T extends InputTypes = InputTypes,
  E extends Example = Example,
  R extends Row = Row,
> {
  /** Rows as examples; `held` may be empty. @throws DatasetError naming file and line */
  encode(train: RowSource<R>, held: RowSource<R>, context: EncodeContext): Promise<RunData<E>>;
  /** As `encode`, of rows that need not all be in memory; left out where they must be. */
  stream?(context: StreamContext): RowStream<R, E>;
  /** Rows as they are encoded, for people to look at; left out where there is no such view. @throws DatasetError naming file and line */
  inspect?(source: RowSource<R>, tokenizer: Tokenizer): Iterable<InspectedRow>;
  /** The largest batch of examples that a run may meet: what is planned with where there are no rows. */
  assumed(): readonly E[];
  /** A shape for every length of batches of these examples: so few that all programs can be planned before training begins. */
  shapes(examples: readonly E[]): readonly S[];
  /** Types of the inputs of a shape; the tokens are `inputIds`, i32 [batch, length]. */
  types(shape: S): T;
  /** Examples in the smallest of the shapes that holds them. @throws RangeError where none does; DatasetError for pictures */
  collate(examples: readonly E[], shapes: readonly S[]): Promise<Batch<S, T>>;
  /**
   * The loss of a batch. Called once for each shape, while its program is traced. The inputs of a joint loss come with those of the batch, and
   * `hostRows` where the model's forward pass takes them (`ModelInputs`).
   */
  loss(inputs: InputsOf<T>, context: LossContext): Loss;
  /** Where the loss is of all rows of a step together. */
  readonly joint?: JointLoss<S, T>;
  /** Samples of what the model does with some of these examples; null where the objective has none, or the run wants none. */
  planSamples(examples: readonly E[], context: SampleContext): SamplePlan | null;
}

/** What a run learns. To add one: a folder here, and a line in `registry.ts`. */
export interface Objective<C extends object = object, R extends Row = Row> {
  /** `objective.type` of a config. */
  readonly type: string;
  /** Fields of `objective` beside `type`, each with its default. */
  readonly settings: ObjectEntries;
  /** Whether it packs several rows into a sequence where a run asks for it (`TaskLimits.packing`). Default false. */
  readonly packs?: boolean;
  /** Whether evaluations tell the mean cross-entropy of a token in nats, so that e to its power is a perplexity. Default false. */
  readonly lossIsCrossEntropy?: boolean;
  /** Whether its loss needs `LossContext.reference`: a config without a LoRA, or with modules trained whole, is then refused. Default false. */
  readonly needsReference?: boolean;
  /** A value of a data set as a row. @throws DatasetError naming file, line and field */
  parseRow(value: unknown, file: string, line: number, format: DataOptions['format']): R;
  /** The objective for a model. `weightFormat` says how its publisher prepared pictures. */
  bind(
    model: Model,
    about: { readonly settings: C; readonly limits: TaskLimits; readonly weightFormat: WeightFormat },
  ): Task;
}
