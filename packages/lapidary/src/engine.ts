import type { ChatMessage, ChatTemplateKwargs, ChatTools, Embedded, ModelPresetName } from '@lapidary/gemma';
import type {
  DataSource,
  Evaluation,
  ExportedCheckpoint,
  ExportForm,
  findLearningRate,
  Fit,
  inspectData,
  MemoryEntry,
  profileTraining,
  QuantizeType,
  ResolvedTrainConfig,
  RunTraining,
  tuneTraining,
} from '@lapidary/trainer';
import type { AdapterLoader, WeightLoader } from '@lapidary/weights';
import type { AnswerEnd } from './answer-session.js';
import type { EvalData } from './evaluate/evaluate-model.js';
import type { ManyAnswer } from './generate/answer-many.js';
import type { DeviceMeasure } from './measure-device.js';
import type { Prompt } from './generate/read-prompts.js';

export type { DeviceMeasure } from './measure-device.js';

/** What a run would take, known before anything is loaded. */
export interface TrainingPlan {
  readonly parameters: number;
  readonly trainableParameters: number;
  /** Null where no data was given: its rows say it. */
  readonly totalSteps: number | null;
  readonly tokensPerStep: number;
  /** On the device. */
  readonly memory: readonly MemoryEntry[];
  /** A table that stays in its file on the host, of which the rows of each step are read; null where the model has none. */
  readonly onHost: { readonly path: string; readonly bytes: number } | null;
  /** What the run does to stay within `memoryBudget`, in sentences: blocks computed again, samples left out. */
  readonly budgetNotices: readonly string[];
  /** What people should know of the model's files, the rows and the settings, in sentences. */
  readonly notices: readonly string[];
  /** Whether it fits, as far as that can be known; null where there is no adapter to ask. */
  readonly fit: Fit | null;
}

/** What is in a model's files. */
export interface ModelInspection {
  readonly source: string;
  /** `safetensors`, `gguf`. */
  readonly format: string;
  readonly family: string;
  readonly parameters: number;
  readonly bytes: number;
  /** Settings of the architecture, by name. */
  readonly config: Readonly<Record<string, string | number | boolean | null>>;
  /** What people should know of the files. */
  readonly notices: readonly string[];
  /** Why the model cannot be used: parameters that are not there, values that are not finite; null where nothing is known against it. */
  readonly problem: Error | null;
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly bytes: number;
  }[];
}

/** How answers are made. */
export interface AnswerSettings {
  readonly maxTokens: number;
  /** 0: always the likeliest token. */
  readonly temperature: number;
  /** 0: all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly stop: readonly string[];
  readonly seed: number;
}

export interface GenerateRequest extends AnswerSettings {
  readonly model: string;
  /** Folder of a PEFT adapter; null for the model as it is. */
  readonly adapter: string | null;
  /** The adapter may have been trained over other weights. */
  readonly anyBase?: boolean | undefined;
  /** The folder is a run's, and its checkpoint with the lowest evaluation loss is the adapter. */
  readonly best: boolean;
  readonly quantize?: QuantizeType | undefined;
  readonly prompts: readonly Prompt[];
  /** Answers to each: the first is drawn with the seed, the next with the one after it. */
  readonly samples: number;
  /** Answers that are made at once. */
  readonly rows: number;
  /** Texts are put into the chat template; false: they are continued as they stand; null: as the model came, with a template or without. */
  readonly chat: boolean | null;
  /** Functions that the answer may call. */
  readonly tools?: ChatTools;
  /** What else the chat template takes. */
  readonly chatTemplateKwargs?: ChatTemplateKwargs;
}

/** Texts that become vectors. */
export interface EmbedRequest {
  readonly model: string;
  /** Folder of a PEFT adapter; null for the model as it is. */
  readonly adapter: string | null;
  /** Whether an adapter may go over other weights than it was trained over. */
  readonly anyBase?: boolean;
  readonly quantize?: QuantizeType | undefined;
  /** The texts, or a file of rows and the column that they are in. */
  readonly texts: readonly string[] | { readonly data: string; readonly key: string };
  /** As in `EmbedOptions` and `EmbedderOptions` of @lapidary/gemma. */
  readonly prompt?: string;
  readonly size?: number;
  readonly batchSize?: number;
  readonly maxLength?: number;
}

export interface EmbedResult {
  readonly texts: readonly string[];
  /** Of each text: f32, of unit length. */
  readonly vectors: readonly Float32Array[];
  /** How many were cut, to how many tokens. */
  readonly cut: number;
  readonly maxLength: number;
}

/** A model that is talked with. */
export interface Chat {
  readonly adapters: readonly string[];
  /** Whether it answers conversations, not just one message after the other. */
  readonly remembers: boolean;
  readonly seesPictures: boolean;
  /** @throws UsageError for what cannot be read */
  readImage(path: string): Promise<Uint8Array>;
  /** The answer in pieces. A signal ends it with its reason. */
  answer(
    messages: readonly ChatMessage[],
    options: AnswerSettings & {
      /** A name of `adapters`; null for the model by itself. */
      readonly adapter: string | null;
      readonly images: readonly Uint8Array[];
      /** Functions that the answer may call. */
      readonly tools?: ChatTools | undefined;
      /** What else the chat template takes. */
      readonly chatTemplateKwargs?: ChatTemplateKwargs | undefined;
      readonly signal: AbortSignal;
    },
  ): AsyncGenerator<string, AnswerEnd, void>;
  close(): Promise<void>;
}

/** One thing that a machine has, or lacks, for training. */
export interface Finding {
  readonly name: string;
  /** `slow`: training works, not as well as it could; `broken`: it cannot work. */
  readonly state: 'fine' | 'slow' | 'broken';
  readonly found: string;
  /** What to do; null where nothing needs to be done. */
  readonly advice: string | null;
}

/** A question that was put into tokens: it can be answered, more than once. */
export interface AskedQuestion {
  /** Those of pictures included. */
  readonly promptTokens: number;
  /** The answer in pieces. A signal ends it with its reason. */
  answer(settings: AnswerSettings & { readonly signal: AbortSignal }): AsyncGenerator<string, AnswerEnd, void>;
}

/** A model that answers many at once, or turns texts into vectors. */
export interface Answerer {
  readonly adapters: readonly string[];
  /** Of a model that makes vectors; it answers nothing. @throws EmbeddingError, IllFormedTextError */
  readonly embed?: (
    texts: readonly string[],
    options: {
      /** A name of `adapters`; null for the model by itself. */
      readonly adapter: string | null;
      readonly prompt: string | undefined;
      readonly size: number | undefined;
      readonly signal: AbortSignal;
    },
  ) => Promise<Embedded>;
  /** Most tokens of a prompt and its answer together, or of a text. */
  readonly maxLength: number;
  /** @throws EmbeddingModelError for a model that makes vectors; ChatTemplateError, ContextLengthError, ImageError, PromptImagesError */
  ask(
    question: string | readonly ChatMessage[],
    options: {
      /** A name of `adapters`; null for the model by itself. */
      readonly adapter: string | null;
      readonly images: readonly Uint8Array[];
      /** Functions that a conversation's answer may call. */
      readonly tools: ChatTools | undefined;
      /** What else the chat template takes. */
      readonly chatTemplateKwargs: ChatTemplateKwargs | undefined;
    },
  ): Promise<AskedQuestion>;
  close(): Promise<void>;
}

/** What is measured on what. */
export interface EvaluationRequest {
  readonly model: string;
  /** Folders of PEFT adapters by name, each measured over the one model. */
  readonly adapters: Readonly<Record<string, string>>;
  /** Adapters may have been trained over other weights. */
  readonly anyBase?: boolean | undefined;
  /** What matrices of the model become while they are read. Default: they stay as they are in the file. */
  readonly quantize?: QuantizeType | undefined;
  /** Path of the rows, or what else `openData` knows, and how they are read. */
  readonly data: Omit<EvalData, 'source'> & { readonly source: string };
  readonly batchSize: number;
  /** Longest answers. */
  readonly maxTokens: number;
}

/** What becomes what. */
export interface ExportRequest {
  /** A run's folder, or that of an adapter. */
  readonly run: string;
  /** Of the checkpoint; `best` for the one with the lowest evaluation loss, null for the newest. */
  readonly step: number | 'best' | null;
  /** A folder; of a form that is one file, its folder. */
  readonly out: string;
  /** The base; null for what the run's file names. */
  readonly model: string | null;
  /** An adapter that is not of a run's checkpoint may have been trained over other weights. */
  readonly anyBase?: boolean | undefined;
  readonly form: WantedForm;
}

/** A form of a checkpoint or an adapter; or the run itself, for TRL: from its beginning, or from a checkpoint that is named. */
export type WantedForm = ExportForm | { readonly to: 'trl' };

/** What was exported: of an adapter's folder there is no step. */
export interface ExportResult extends Omit<ExportedCheckpoint, 'step'> {
  readonly step: number | null;
}

/** Where on the hub something is pushed to. */
export interface HubRequest {
  /** `owner/name`. */
  readonly repository: string;
  /** Whether only its owner sees it; false: what is usual there. */
  readonly isPrivate: boolean;
}

/** Files that an export, or a run's end, left. */
export interface ExportedFiles {
  readonly folder: string;
  /** Names of the files in it; nothing else of the folder is pushed. */
  readonly files: readonly string[];
  /** Folder of the run that they are of; null where it is not known. */
  readonly run: string | null;
  readonly step: number | null;
  /** The base by what the user calls it; null for what the files, or the run's, say. */
  readonly base: string | null;
}

/** How far one file is: bytes are read twice, first to know their sum. */
export interface PushProgress {
  readonly file: string;
  /** Of its bytes, 0 to 1. */
  readonly share: number;
  readonly state: 'hashing' | 'uploading';
}

/** What was pushed. */
export interface HubCommit {
  readonly repository: string;
  /** Its page. */
  readonly url: string;
  readonly commit: string;
}

/** A repository of the hub that may be written to. */
export interface HubTarget {
  readonly url: string;
  /** All files, and a model card where the repository has none, in one commit. @throws HubPushError, also for files that are not whole */
  push(
    exported: ExportedFiles,
    options: { readonly onProgress: (progress: PushProgress) => void; readonly signal: AbortSignal },
  ): Promise<HubCommit>;
}

/** Everything that the commands do not do themselves. They only parse, print and say what went wrong. */
export interface Engine {
  /** A loader for a local folder, a .gguf file or a hub id. Nothing is read yet. */
  openModel(model: string): Promise<WeightLoader>;
  /** Rows by what `--data` names: a data set of the hub with the user's token; a path or URL as it is. Nothing is read yet. */
  openData(source: string): Promise<DataSource>;
  /** A loader for an adapter in a local folder or on the hub. Nothing is read yet. */
  openAdapter(adapter: string): AdapterLoader;
  readonly runTraining: RunTraining;
  planTraining(config: ResolvedTrainConfig): Promise<TrainingPlan>;
  /** What a run on a released model would take, from its name alone: nothing is read or downloaded. */
  planRelease(name: ModelPresetName, config: ResolvedTrainConfig): Promise<TrainingPlan>;
  readonly inspectData: typeof inspectData;
  readonly profileTraining: typeof profileTraining;
  readonly tuneTraining: typeof tuneTraining;
  readonly findLearningRate: typeof findLearningRate;
  export(request: ExportRequest): Promise<ExportResult>;
  /** What an earlier export, or the end of a run, left in a folder or a .gguf file. @throws HubPushError, UsageError */
  findExported(place: string): Promise<ExportedFiles>;
  /** A repository of the hub, made where there is none, once it is known that the user may write to it. @throws HubPushError */
  openHubTarget(request: HubRequest, options: { readonly signal: AbortSignal }): Promise<HubTarget>;
  inspectModel(model: string): Promise<ModelInspection>;
  /** Prompts of a file. @throws DatasetError naming file and line, UsageError */
  readPrompts(file: string): Promise<readonly Prompt[]>;
  generate(
    request: GenerateRequest,
    options: {
      /** Text as it is made, with the number of its answer among all. */
      readonly onText: (text: string, place: number) => void;
      /** Each answer when it and all before it are done. */
      readonly onAnswer: (answer: ManyAnswer) => void;
      /** What was decided for the user, and what people should know of the model's files, in a sentence. */
      readonly onNotice: (notice: string) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<readonly ManyAnswer[]>;
  embed(
    request: EmbedRequest,
    options: { readonly onNotice: (notice: string) => void; readonly signal: AbortSignal },
  ): Promise<EmbedResult>;
  openChat(
    request: Pick<EvaluationRequest, 'model' | 'adapters' | 'anyBase' | 'quantize'>,
    options: { readonly onNotice: (notice: string) => void; readonly signal: AbortSignal },
  ): Promise<Chat>;
  /** What this machine has. */
  diagnose(signal: AbortSignal): Promise<readonly Finding[]>;
  /** How fast its device is, and what released models may be expected to do on it. */
  measureDevice(models: readonly ModelPresetName[], signal: AbortSignal): Promise<DeviceMeasure>;
  openAnswerer(
    request: Pick<EvaluationRequest, 'model' | 'adapters' | 'anyBase' | 'quantize'> & {
      /** Answers that are made at once; further ones wait. */
      readonly rows: number;
      /** Most tokens of a prompt and its answer together; the model's context at most. */
      readonly maxLength: number;
    },
    options: { readonly onNotice: (notice: string) => void; readonly signal: AbortSignal },
  ): Promise<Answerer>;
  evaluateModel(
    request: EvaluationRequest,
    options: {
      /** What people should know of the model's files, in a sentence. */
      readonly onNotice: (notice: string) => void;
      readonly onProgress: (progress: { readonly name: string; readonly done: number; readonly total: number }) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<Evaluation>;
}
