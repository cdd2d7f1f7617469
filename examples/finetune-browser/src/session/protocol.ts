import type { ChatMessage } from '@lapidary/gemma';
import type {
  EvalRecord,
  Fit,
  MemoryEntry,
  RowsForm,
  RunStart,
  SampleRecord,
  StepRecord,
  TrainingSummary,
} from '@lapidary/trainer';

/** A model that comes with the page: one of text, and one that sees pictures. */
export type OwnModel = 'small' | 'small-pictures';

/** Which model: one that comes with the page, files from disk, or an address: a URL or a hub id. */
export type ModelChoice =
  | { readonly kind: OwnModel }
  | { readonly kind: 'files'; readonly files: readonly File[] }
  | { readonly kind: 'address'; readonly address: string; readonly token?: string };

/** A choice as it is kept with a run. Files must be chosen again, tokens typed again: neither is stored. */
export type SavedModel =
  | { readonly kind: OwnModel }
  | { readonly kind: 'files'; readonly files: readonly string[] }
  | { readonly kind: 'address'; readonly address: string };

/** Rows, and the pictures that they name. */
export interface DataChoice {
  readonly name: string;
  /** As they were chosen. A Blob passes between page and worker without being read. */
  readonly rows: Blob;
  readonly pictures: readonly File[];
}

export interface Settings {
  /** Optimizer steps. */
  readonly steps: number;
  readonly learningRate: number;
  /** Of the LoRA; alpha is twice as much. */
  readonly rank: number;
  /** Rows. */
  readonly batchSize: number;
  /** Tokens of the longest row. */
  readonly maxLength: number;
  readonly gradientCheckpointing: boolean;
  /** Held-out rows that are answered before and after, to count the right ones. Runs of earlier versions have none here. */
  readonly answers?: number;
  readonly seed: number;
}

export interface RunRequest {
  readonly model: ModelChoice;
  readonly data: DataChoice;
  readonly settings: Settings;
  readonly seesPictures: boolean;
}

/** What runs the kernels, and what it lacks that others have. */
export interface DeviceReport {
  readonly name: string;
  readonly isSoftware: boolean;
  readonly hasF16: boolean;
}

export interface ModelReport {
  readonly name: string;
  readonly format: string;
  readonly parameters: number;
  /** Of the weights as stored. */
  readonly bytes: number;
  readonly seesPictures: boolean;
  /** Tokens of text that it has room for beside a picture. */
  readonly room: number;
}

/** What a run takes, known before a weight is loaded. */
export interface PlanReport {
  readonly trainRows: number;
  readonly heldRows: number;
  readonly steps: number;
  readonly epochs: number;
  readonly trainableParameters: number;
  readonly memory: readonly MemoryEntry[];
  readonly totalBytes: number;
  readonly fit: Fit;
  readonly notices: readonly string[];
}

/** What a run tells while it goes on. */
export type RunEvent =
  | { readonly type: 'phase'; readonly name: string; readonly done?: number; readonly total?: number }
  | { readonly type: 'start'; readonly start: RunStart }
  | { readonly type: 'step'; readonly record: StepRecord }
  | { readonly type: 'eval'; readonly record: EvalRecord }
  | { readonly type: 'sample'; readonly record: SampleRecord }
  | { readonly type: 'checkpoint'; readonly step: number }
  | { readonly type: 'notice'; readonly message: string };

/** A run in the page's private file system. */
export interface SavedRun {
  readonly id: string;
  readonly createdAt: string;
  readonly model: SavedModel;
  readonly modelName: string;
  readonly dataName: string;
  readonly settings: Settings;
  readonly seesPictures: boolean;
  /** Optimizer steps that are in a checkpoint. */
  readonly savedStep: number;
  readonly isFinished: boolean;
}

/** Everything that a run told so far. */
export interface RunRecords {
  /** How its rows were written, where that is known. */
  readonly rowsForm: RowsForm | null;
  readonly steps: readonly StepRecord[];
  readonly evals: readonly EvalRecord[];
  readonly samples: readonly SampleRecord[];
  readonly summary: TrainingSummary | null;
}

export interface AnswerRequest {
  /** Messages go through the model's chat template; a text is continued as it stands. */
  readonly prompt: string | readonly ChatMessage[];
  readonly picture: File | null;
  readonly maxTokens: number;
  readonly temperature: number;
}
