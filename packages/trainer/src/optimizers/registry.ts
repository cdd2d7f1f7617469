import * as v from 'valibot';
import { real } from '../config/rules.js';
import { typedSchema, ofType } from '../config/typed-schema.js';
import { adafactor } from './adafactor.js';
import { adamw } from './adamw.js';
import { lion } from './lion.js';
import type { Optimizer } from './optimizer.js';
import { sgd } from './sgd.js';

/** Every optimiser that a config can name. The first is the default. */
export const optimizers = [adamw, sgd, lion, adafactor] as const;

export type OptimizerType = (typeof optimizers)[number]['type'];

type SettingsOf<O> = O extends Optimizer<infer S, infer T> ? { readonly type: T } & S : never;

/** A checked optimiser of a config with its defaults filled in: `{ type: 'lion', betas, weightDecay, learningRate, clipGradNorm }`. */
export type OptimizerConfig<T extends OptimizerType = OptimizerType> = Extract<
  SettingsOf<(typeof optimizers)[number]>,
  { readonly type: T }
> & {
  /** The rate at the end of the warm-up. */
  readonly learningRate: number;
  /** Largest global L2 norm of the gradients; null for no clipping. */
  readonly clipGradNorm: number | null;
};

/** As the schema gives it: the default learning rate depends on LoRA, so it is filled in later (`Optimizer.defaultLearningRate`). */
export type ParsedOptimizer = OptimizerConfig extends infer O
  ? O extends OptimizerConfig
    ? Omit<O, 'learningRate'> & { readonly learningRate?: number | undefined }
    : never
  : never;

/** What a user writes: the type, which may be left out for AdamW, and any of its settings. */
export type OptimizerInput = OptimizerConfig extends infer O
  ? O extends OptimizerConfig
    ? { readonly [K in Exclude<keyof O, 'type'>]?: O[K] | undefined } & (O['type'] extends 'adamw'
        ? { readonly type?: 'adamw' | undefined }
        : Pick<O, 'type'>)
    : never
  : never;

/** The optimiser of this type. @throws ConfigError for a type that is none */
export function optimizerOf(type: OptimizerType): Optimizer {
  return ofType(optimizers, type, 'optimizer');
}

/** `optimizer` of a config. */
export const optimizerSchema = typedSchema(optimizers, {
  before: { learningRate: v.optional(real({ above: 0 })) },
  after: { clipGradNorm: v.optional(v.nullable(real({ above: 0 })), 1) },
}) as v.GenericSchema<OptimizerInput, ParsedOptimizer>;
