import type { ImagePreset, LoraTarget, Tower } from '@lapidary/gemma';
import type { MatmulPrecision } from '@lapidary/gpu';
import type { AdapterLoader, WeightLoader } from '@lapidary/weights';
import type { DataOptions, DataSource } from '../data/data-options.js';
import type { ObjectiveConfig, ObjectiveInput } from '../objectives/registry.js';
import type { OptimizerConfig, OptimizerInput } from '../optimizers/registry.js';
import type { QuantizeType } from '../quantise/quantised-types.js';
import type { WarmupRule } from '../schedule/schedule.js';

/**
 * Which parameters: names matched against whole paths such as `layers.3.attn.qProj.weight`. In a string `*` stands for any
 * text without a dot and `**` for any text; a RegExp must match the whole path.
 */
export type PathPattern = string | RegExp;

/** Parameters that learn at another rate, or decay at another. The first group that a parameter is in counts. */
export interface ParamGroup {
  readonly paths: readonly PathPattern[];
  /** Multiplies the schedule's learning rate. Default 1. */
  readonly learningRateScale: number;
  /** Multiplies the optimiser's weight decay: 0 for norms and biases that are not to decay. Default 1. */
  readonly weightDecayScale: number;
}

/** null: decided when the number of steps is known (`planRun`). Steps are optimizer steps. */
export interface ScheduleConfig {
  readonly type: 'constant' | 'cosine' | 'linear' | 'rsqrt';
  /** null: a thirtieth of the run, at most 1000. */
  readonly warmupSteps: number | null;
  readonly warmupRule: WarmupRule;
  /** cosine, linear: warm-up included; null: the whole run. */
  readonly decaySteps: number | null;
  /** cosine, linear; null: a tenth of the learning rate. */
  readonly endLearningRate: number | null;
  /** rsqrt only. */
  readonly timescale: number;
}

export interface LoraConfig {
  readonly rank: number;
  /** The adapter's output is scaled by alpha/rank, or alpha/√rank with `rslora`. */
  readonly alpha: number;
  /**
   * Ranks of some linears: by names such as `qProj`, or patterns of the ends of their paths such as `layers.0.attn.*`. The first that
   * fits counts.
   */
  readonly rankPattern: Readonly<Record<string, number>>;
  /** Alphas of some linears, in the same way. */
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly rslora: boolean;
  /** The length of each row of the weights is learned apart from its direction (DoRA): slower, sometimes better at a low rank. */
  readonly dora: boolean;
  /** Chance that an input of the adapter is zeroed in training. */
  readonly dropout: number;
  /** All linears, those of these names, or a pattern of their paths in whatever tower. */
  readonly targets: 'all' | readonly LoraTarget[] | RegExp;
  /** Where linears are adapted, but for a pattern. */
  readonly towers: readonly Tower[];
  /** Indices of layers; null for all. */
  readonly layers: readonly number[] | null;
  /**
   * Modules that are trained whole beside the LoRA and become part of the adapter, such as `embedTokens` or `**Norm`: patterns of the
   * paths of their parameters without `.weight` and `.bias`.
   */
  readonly modulesToSave: readonly PathPattern[];
}

export interface EarlyStopping {
  /** So many evaluations, one after the other, without a lower loss end the run. */
  readonly patience: number;
  /** By how much a loss must be lower to count. Default 0. */
  readonly minDelta: number;
}

/** Everything a training run depends on, complete and checked. Made by `resolveTrainConfig`. */
export interface ResolvedTrainConfig {
  readonly name: string;
  readonly weightLoader: WeightLoader;
  readonly data: DataOptions;
  /** Rows to evaluate on, by default in the form of `data` and with its `lossOn` and `tooLong`; null: `evalFraction` of the data is held out. */
  readonly evalData: DataOptions | null;
  readonly evalFraction: number;
  /** Longest row in tokens of text; pictures come on top. Default 512, or what the model's context has room for beside them. */
  readonly maxLength: number;
  /**
   * Several rows share a sequence of at most `maxLength` tokens, and no token sees another row: less padding. `batchSize` then counts
   * sequences. Rows with pictures, and those that are held out, stay apart.
   */
  readonly packing: boolean;
  /** How pictures are prepared; null: as the weights' publisher does it. */
  readonly imagePreset: ImagePreset | null;
  /** Rows in a micro-batch; where there are fewer rows, all of them. */
  readonly batchSize: number;
  /** Micro-batches summed into one optimizer step. */
  readonly gradientAccumulation: number;
  /** Optimizer steps, or null when `epochs` says it. */
  readonly steps: number | null;
  /** Passes over the data, or null when `steps` says it. */
  readonly epochs: number | null;
  readonly seed: number;
  /** What the run learns. */
  readonly objective: ObjectiveConfig;
  readonly optimizer: OptimizerConfig;
  /** Default none: all parameters alike. */
  readonly paramGroups: readonly ParamGroup[];
  /**
   * An exponential moving average is kept of what is trained, of which each step keeps this much; evaluations, samples and the export
   * are of the average. null: none.
   */
  readonly emaDecay: number | null;
  readonly schedule: ScheduleConfig;
  /**
   * An adapter in PEFT's form, over the same base, that training goes on from: a folder, a URL, a hub id or a loader. Its settings are then
   * those of `lora`, which may not be given. null: a LoRA begins anew.
   */
  readonly adapter: string | AdapterLoader | null;
  /** null: the parameters themselves are trained. Of a run that goes on from an `adapter` what that says, once it is open. */
  readonly lora: LoraConfig | null;
  /**
   * What the frozen matrices of the base become while they are read, 32 or 64 values with a scale (QLoRA, arXiv:2305.14314): `q8_0` and
   * `q4_0` as llama.cpp makes them, `nf4` as bitsandbytes does (its scales f32), 8.5 and 4.5 bits a value. Beside 4 bits the table of words, which is the output projection too, has 8.
   * Linears whose rows are no whole blocks, norms, biases and what is trained stay as they are. With a LoRA only. null: as published.
   */
  readonly quantize: QuantizeType | null;
  /** Parameters that stay as published. */
  readonly freeze: readonly PathPattern[];
  /** Parameters that may be missing in the weights, and are then initialised. Default none. */
  readonly allowMissing: readonly PathPattern[];
  /** Which parameters are trained; null: all. Without LoRA only: an adapter file has no room for them. */
  readonly trainable: readonly PathPattern[] | null;
  /** Compute activations again in the backward pass: slower, much less memory. */
  readonly gradientCheckpointing: boolean;
  /** Whether variants of matrix products are measured, once a device, and the fastest used. `auto`: on GPUs. */
  readonly kernelTuning: 'auto' | 'always' | 'never';
  /**
   * What matrix products keep of the values that go in; sums are f32 in any case. `float16`: 11 digits, where the device has subgroup
   * matrices (tensor cores: GPUs in Node; elsewhere it changes nothing). Faster; losses then differ from the third digit on.
   */
  readonly matmulPrecision: MatmulPrecision;
  /**
   * Bytes that the run may take on the device, evaluations and samples included; null: as many as it needs. Of as few blocks as possible
   * activations are then computed again in the backward pass; samples that would go beyond it are not taken.
   */
  readonly memoryBudget: number | null;
  /** Steps between evaluations; null: a tenth of the run. */
  readonly evalEvery: number | null;
  /** Steps between checkpoints; null: a tenth of the run, at most 1000. The last step is always saved. */
  readonly saveEvery: number | null;
  /** How many of the newest checkpoints stay. */
  readonly keep: number;
  /** Checkpoints at multiples of this stay for ever; null for none. */
  readonly keepPeriod: number | null;
  /**
   * What becomes of the step with the lowest evaluation loss. `checkpoint`: a checkpoint of it stays beside the newest ones. `export`: it is
   * also what the run ends with, in place of the last step. `never`: nothing.
   */
  readonly keepBest: 'checkpoint' | 'export' | 'never';
  /** When to stop before the last step; null: never. */
  readonly earlyStopping: EarlyStopping | null;
  /** Steps between samples; null: only before the first step and after the last. */
  readonly sampleEvery: number | null;
  /** How many held-out rows are answered when samples are taken. */
  readonly sampleCount: number;
  /** Longest answer in tokens. */
  readonly sampleTokens: number;
  /** Whether files for TensorBoard are written too, into `tensorboard` in the run's folder. */
  readonly tensorboard: boolean;
  readonly outDir: string;
  readonly resume: boolean;
  /**
   * The step of a checkpoint to go back to, and on from: `resume` from there. Checkpoints after it go, and the learning rate, its
   * schedule and the clipping of gradients may be others than before: for a run that diverged. null: the newest.
   */
  readonly resumeFrom: number | null;
  readonly overwrite: boolean;
}

type Loose<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** What a user writes: `weightLoader` and `data.source`; the rest has defaults. */
export type TrainConfig = Loose<
  Omit<
    ResolvedTrainConfig,
    | 'weightLoader'
    | 'data'
    | 'evalData'
    | 'objective'
    | 'optimizer'
    | 'paramGroups'
    | 'schedule'
    | 'lora'
    | 'earlyStopping'
  >
> & {
  readonly weightLoader: WeightLoader;
  readonly data: { readonly source: DataSource } & Loose<DataOptions>;
  readonly evalData?: ({ readonly source: DataSource } & Loose<DataOptions>) | null | undefined;
  readonly objective?: ObjectiveInput | undefined;
  readonly optimizer?: OptimizerInput | undefined;
  readonly paramGroups?: readonly (Pick<ParamGroup, 'paths'> & Loose<ParamGroup>)[] | undefined;
  readonly schedule?: Loose<ScheduleConfig> | undefined;
  readonly lora?: Loose<LoraConfig> | null | undefined;
  readonly earlyStopping?: (Pick<EarlyStopping, 'patience'> & Loose<EarlyStopping>) | null | undefined;
};
