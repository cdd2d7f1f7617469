import { imagePresets, loraTargets, towers, type LoraTarget, type Tower } from '@lapidary/gemma';
import type { AdapterLoader, WeightLoader } from '@lapidary/weights';
import * as v from 'valibot';
import { objectiveSchema } from '../objectives/registry.js';
import { optimizerSchema } from '../optimizers/registry.js';
import type { DataFiles } from '../data/data-files.js';
import { lossParts, rowFormats, type DataSource } from '../data/data-options.js';
import { quantizeTypes } from '../quantise/quantised-types.js';
import {
  choice,
  flag,
  inJson,
  integer,
  jsonObject,
  jsonRuleOf,
  listOf,
  messageOf,
  orNull,
  real,
  text,
  withDefault,
} from './rules.js';
import type { PathPattern } from './train-config.js';

const isPattern = (value: unknown) => (typeof value === 'string' && value !== '') || value instanceof RegExp;
const somePath = { type: 'string', minLength: 1 } as const;
const patterns = listOf<PathPattern>(
  isPattern,
  "a list of path patterns: texts such as 'layers.*.attn.**', or RegExps",
  { items: somePath },
);
const targetNames = loraTargets.map((name) => `'${name}'`).join(', ');

const source = inJson(
  v.custom<DataSource>(
    (value) =>
      (typeof value === 'string' && value !== '') ||
      Array.isArray(value) ||
      value instanceof Blob ||
      typeof (value as Partial<DataFiles> | null | undefined)?.open === 'function',
    'a path, a URL, a data set of the hub, a list of rows, or a File',
  ),
  { anyOf: [somePath, { type: 'array', items: { type: 'object' } }] },
);

export const dataSchema = v.object(
  {
    source,
    format: withDefault(choice(['auto', ...rowFormats]), 'auto'),
    lossOn: withDefault(choice(lossParts), 'completion'),
    tooLong: withDefault(choice(['error', 'truncate', 'skip']), 'error'),
    promptKey: v.optional(text()),
    completionKey: v.optional(text()),
    chatTemplateKwargs: v.optional(
      jsonObject('an object of what the chat template takes: { "enable_thinking": true }'),
    ),
    split: v.optional(text()),
    config: v.optional(text()),
    revision: v.optional(text()),
  },
  'an object with `source`: { source, format, lossOn, tooLong, promptKey, completionKey, chatTemplateKwargs, split, config, revision }',
);

const paramGroupSchema = v.object(
  {
    paths: listOf<PathPattern>(isPattern, "a list of path patterns: texts such as '**Norm.weight', or RegExps", {
      minLength: 1,
      items: somePath,
    }),
    learningRateScale: withDefault(real({ min: 0 }), 1),
    weightDecayScale: withDefault(real({ min: 0 }), 1),
  },
  'an object: { paths, learningRateScale, weightDecayScale }',
);
const paramGroupsMessage = 'a list of groups: { paths, learningRateScale, weightDecayScale }';

const scheduleSchema = v.object(
  {
    type: withDefault(choice(['constant', 'cosine', 'linear', 'rsqrt']), 'cosine'),
    warmupSteps: orNull(integer(0)),
    warmupRule: withDefault(choice(['openpi', 'zero', 'ramp']), 'openpi'),
    decaySteps: orNull(integer(1)),
    endLearningRate: orNull(real({ min: 0 })),
    timescale: withDefault(real({ above: 0 }), 10_000),
  },
  'an object: { type, warmupSteps, warmupRule, decaySteps, endLearningRate, timescale }',
);

/** Numbers by patterns of linears. */
function numbersByPattern(number: v.GenericSchema<number>): v.GenericSchema<Readonly<Record<string, number>>> {
  const rule = v.custom<Readonly<Record<string, number>>>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.entries(value).every(([pattern, each]) => pattern !== '' && v.is(number, each)),
    `an object of patterns, each with ${messageOf(number)}: { 'mlp.*': 4 }`,
  );
  return inJson(rule, { type: 'object', additionalProperties: jsonRuleOf(number) ?? {} });
}

const loraEntries = {
  rank: withDefault(integer(1, 4096), 8),
  alpha: withDefault(real({ above: 0 }), 16),
  rankPattern: withDefault(numbersByPattern(integer(1, 4096)), {}),
  alphaPattern: withDefault(numbersByPattern(real({ above: 0 })), {}),
  rslora: withDefault(flag, false),
  dora: withDefault(flag, false),
  dropout: withDefault(real({ min: 0, below: 1 }), 0),
  targets: withDefault(
    inJson(
      v.custom<'all' | readonly LoraTarget[] | RegExp>(
        (value) =>
          value === 'all' ||
          value instanceof RegExp ||
          (Array.isArray(value) &&
            value.length > 0 &&
            value.every((name) => (loraTargets as readonly unknown[]).includes(name))),
        `'all', a RegExp of paths, or a list of ${targetNames}`,
      ),
      { anyOf: [{ const: 'all' }, { type: 'array', items: { enum: [...loraTargets] }, minItems: 1 }] },
    ),
    'all',
  ),
  towers: withDefault(
    listOf<Tower>((value) => towers.includes(value as Tower), `a list of ${towers.map((t) => `'${t}'`).join(', ')}`, {
      minLength: 1,
      items: { enum: [...towers] },
    }),
    ['language'],
  ),
  layers: orNull(
    listOf<number>((value) => Number.isSafeInteger(value) && (value as number) >= 0, 'a list of layer numbers from 0', {
      minLength: 1,
      items: { type: 'integer', minimum: 0 },
    }),
  ),
  modulesToSave: withDefault(
    listOf<PathPattern>(isPattern, "a list of patterns of modules: texts such as 'embedTokens', or RegExps", {
      items: somePath,
    }),
    [],
  ),
};
/** The settings of a LoRA by name. */
export const loraFields = Object.keys(loraEntries) as (keyof typeof loraEntries)[];

const loraSchema = v.object(
  loraEntries,
  'null for full fine-tuning, or an object: { rank, alpha, rankPattern, alphaPattern, rslora, dora, dropout, targets, towers, layers, modulesToSave }',
);

const adapterSchema = inJson(
  v.custom<string | AdapterLoader>(
    (value) =>
      (typeof value === 'string' && value !== '') ||
      typeof (value as Partial<AdapterLoader> | null | undefined)?.open === 'function',
    "a folder, a URL or a hub id of an adapter in PEFT's form, or an object with an open() method",
  ),
  somePath,
);

const earlyStoppingSchema = v.object(
  { patience: integer(1), minDelta: withDefault(real({ min: 0 }), 0) },
  'null, or an object: { patience, minDelta }',
);

/** Or as much less as the model's context has room for. */
export const defaultMaxLength = 512;

export const trainConfigSchema = v.object({
  name: withDefault(text(/^[\w.-]+$/, "a name of letters, digits, '-', '_' and '.'"), 'finetune'),
  weightLoader: v.custom<WeightLoader>(
    (value) => typeof (value as Partial<WeightLoader> | null | undefined)?.open === 'function',
    'a weight loader: an object with an open() method',
  ),
  data: dataSchema,
  evalData: v.optional(v.nullable(dataSchema), null),
  evalFraction: withDefault(real({ min: 0, below: 1 }), 0.1),
  maxLength: withDefault(integer(2), defaultMaxLength),
  packing: withDefault(flag, false),
  imagePreset: orNull(choice(imagePresets)),
  batchSize: withDefault(integer(1), 4),
  gradientAccumulation: withDefault(integer(1), 1),
  steps: orNull(integer(1)),
  epochs: orNull(real({ above: 0 })),
  seed: withDefault(integer(0, 2 ** 32 - 1), 42),
  objective: v.optional(objectiveSchema, {}),
  optimizer: v.optional(optimizerSchema, {}),
  paramGroups: v.optional(v.array(paramGroupSchema, paramGroupsMessage), []),
  emaDecay: orNull(real({ min: 0, below: 1 })),
  schedule: v.optional(scheduleSchema, {}),
  adapter: orNull(adapterSchema),
  lora: v.optional(v.nullable(loraSchema), {}),
  quantize: orNull(choice(quantizeTypes)),
  freeze: withDefault(patterns, []),
  allowMissing: withDefault(patterns, []),
  trainable: orNull(patterns),
  gradientCheckpointing: withDefault(flag, false),
  kernelTuning: withDefault(choice(['auto', 'always', 'never']), 'auto'),
  matmulPrecision: withDefault(choice(['float32', 'float16']), 'float32'),
  memoryBudget: orNull(integer(1)),
  evalEvery: orNull(integer(1)),
  saveEvery: orNull(integer(1)),
  keep: withDefault(integer(1), 2),
  keepPeriod: orNull(integer(1)),
  keepBest: withDefault(choice(['checkpoint', 'export', 'never']), 'checkpoint'),
  earlyStopping: v.optional(v.nullable(earlyStoppingSchema), null),
  sampleEvery: orNull(integer(1)),
  sampleCount: withDefault(integer(0), 4),
  sampleTokens: withDefault(integer(1), 64),
  tensorboard: withDefault(flag, false),
  outDir: withDefault(text(), 'out'),
  resume: withDefault(flag, false),
  resumeFrom: orNull(integer(1)),
  overwrite: withDefault(flag, false),
});
