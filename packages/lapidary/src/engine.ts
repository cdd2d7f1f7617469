import type { ModelPresetName } from '@lapidary/gemma';
import type {
  DataSource,
  ExportedCheckpoint,
  Fit,
  inspectData,
  MemoryEntry,
  profileTraining,
  ResolvedTrainConfig,
  RunTraining,
  tuneTraining,
} from '@lapidary/trainer';
import type { WeightLoader } from '@lapidary/weights';

/** What a run would take, known before anything is loaded. */
export interface TrainingPlan {
  readonly parameters: number;
  readonly trainableParameters: number;
  /** Null where no data was given: its rows say it. */
  readonly totalSteps: number | null;
  readonly tokensPerStep: number;
  readonly memory: readonly MemoryEntry[];
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

export interface GenerateRequest {
  readonly model: string;
  /** Folder of a PEFT adapter; null for the model as it is. */
  readonly adapter: string | null;
  readonly prompt: string;
  /** Paths of pictures that it is about. */
  readonly images: readonly string[];
  /** The prompt is put into the chat template; false: it is continued as it stands; null: as the model came, with a template or without. */
  readonly chat: boolean | null;
  readonly maxTokens: number;
  /** 0: always the likeliest token. */
  readonly temperature: number;
  readonly topK: number | null;
  readonly topP: number | null;
  readonly stop: readonly string[];
  readonly seed: number;
}

export interface GenerateResult {
  readonly text: string;
  readonly promptTokens: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly stoppedBy: 'stop' | 'length';
}

/** Which checkpoint becomes an adapter or a model. */
export interface ExportRequest {
  /** A run's folder. */
  readonly run: string;
  /** Of the checkpoint; null for the newest. */
  readonly step: number | null;
  readonly out: string;
  /** The base; null for what the run's file names. */
  readonly model: string | null;
}

/** Everything that the commands do not do themselves. They only parse, print and say what went wrong. */
export interface Engine {
  /** A loader for a local folder, a .gguf file or a hub id. Nothing is read yet. */
  openModel(model: string): Promise<WeightLoader>;
  /** Rows by what `--data` names: a data set of the hub with the user's token; a path or URL as it is. Nothing is read yet. */
  openData(source: string): Promise<DataSource>;
  readonly runTraining: RunTraining;
  planTraining(config: ResolvedTrainConfig): Promise<TrainingPlan>;
  /** What a run on a released model would take, from its name alone: nothing is read or downloaded. */
  planRelease(name: ModelPresetName, config: ResolvedTrainConfig): Promise<TrainingPlan>;
  readonly inspectData: typeof inspectData;
  readonly profileTraining: typeof profileTraining;
  readonly tuneTraining: typeof tuneTraining;
  exportCheckpoint(request: ExportRequest): Promise<ExportedCheckpoint>;
  inspectModel(model: string): Promise<ModelInspection>;
  generate(
    request: GenerateRequest,
    options: {
      readonly onText: (text: string) => void;
      /** What was decided for the user, and what people should know of the model's files, in a sentence. */
      readonly onNotice: (notice: string) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<GenerateResult>;
}
