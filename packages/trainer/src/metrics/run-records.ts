import type { JsonValue } from '@lapidary/weights';

/** One optimizer step; one line of `metrics.jsonl`. */
export interface StepRecord {
  /** Optimizer steps done, this one included: the first is 1. */
  readonly step: number;
  /** Passes over the data so far: 1.5 is in the middle of the second. */
  readonly epoch: number;
  /** Mean over the loss tokens of the step, before its update. */
  readonly loss: number;
  /** Of the weights after this step; null where there was no evaluation. */
  readonly evalLoss: number | null;
  /** Used for this step's update. */
  readonly learningRate: number;
  /** Global L2 norm of the gradients, before clipping. */
  readonly gradNorm: number;
  /** Tokens that went through the model, per second of `stepMs`. */
  readonly tokensPerSecond: number;
  /** Wall time of the step, evaluation not counted. */
  readonly stepMs: number;
  /** Most GPU memory held so far. */
  readonly peakBytes: number;
  /** What else the objective measures, by name; left out where it measures nothing else. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/** One evaluation. Step 0 is the base model. */
export interface EvalRecord {
  readonly step: number;
  /** Mean over the loss tokens of all evaluation rows. */
  readonly loss: number;
  readonly rows: number;
  readonly seconds: number;
  /** What else the objective measures, by name; left out where it measures nothing else. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/** What the model answers to a held-out row at a step; step 0 is the base model. */
export interface SampleRecord {
  readonly step: number;
  /** Which row, so that answers of different steps can stand side by side. */
  readonly id: string;
  readonly prompt: string;
  readonly answer: string;
  /** The completion in the data; null where there is none. */
  readonly expected: string | null;
  /** The row's pictures as data URLs; left out where there are none, or large ones. */
  readonly pictures?: readonly string[];
}

/** Which adapter runs. */
export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly backend: string;
  readonly device?: string;
  readonly description?: string;
}

/** Bytes of one kind in the memory plan: weights, optimizer state, activations, workspace … */
export interface MemoryEntry {
  readonly category: string;
  readonly bytes: number;
}

/** The short form of the load report. */
export interface LoadSummary {
  readonly source: string;
  readonly format: string;
  readonly parameters: number;
  readonly trainableParameters: number;
  readonly loaded: number;
  readonly converted: number;
  /** Paths that were not in the file and were allowed to be made anew. */
  readonly initialised: readonly string[];
  /** Names in the file that the model has no place for. */
  readonly unused: readonly string[];
}

/** Known before the first step. */
export interface RunStart {
  /** The config as JSON, see `echoConfig`. */
  readonly config: { readonly [key: string]: JsonValue };
  readonly totalSteps: number;
  /** Steps that a resumed run starts after; 0 for a new one. */
  readonly startStep: number;
  /** Evaluation loss of the base model, of a run that is resumed; null for a new one: it comes as an `EvalRecord`. */
  readonly baseEvalLoss: number | null;
  readonly trainRows: number;
  readonly evalRows: number;
  readonly adapter: AdapterInfo;
  readonly memory: readonly MemoryEntry[];
  readonly load: LoadSummary | null;
  /** Whether evaluations tell the mean cross-entropy of a token in nats: e to its power is the perplexity. */
  readonly lossIsCrossEntropy?: boolean;
  /** What else is known of the machine, label → value: `Processor`, `Runtime` … */
  readonly machine?: Readonly<Record<string, string>>;
  /** ISO 8601. */
  readonly startedAt: string;
}

/** `summary.json`; other tools read it. */
export interface TrainingSummary {
  readonly name: string;
  readonly steps: number;
  readonly baseEvalLoss: number | null;
  readonly finalEvalLoss: number | null;
  /** The step with the lowest evaluation loss, of which a checkpoint was kept; null where there was none. */
  readonly best: { readonly step: number; readonly loss: number } | null;
  readonly finalLoss: number | null;
  readonly peakBytesPlanned: number;
  readonly peakBytesAllocated: number;
  readonly adapter: AdapterInfo;
  /** From the call to the end of the first step: loading, compiling and one step. */
  readonly secondsToFirstStep: number | null;
  readonly seconds: number;
  readonly tokens: number;
  readonly startedAt: string;
  /** Files of the adapter or model that was exported, in the output folder. */
  readonly exported: readonly string[];
  /** The step that they are of: the last, or with `keepBest: 'export'` the best. */
  readonly exportedStep: number;
  readonly outDir: string;
}
