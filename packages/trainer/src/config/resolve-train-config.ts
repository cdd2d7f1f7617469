import * as v from 'valibot';
import type { DataOptions } from '../data/data-options.js';
import { ConfigError, type ConfigProblem } from '../errors/errors.js';
import { objectiveOf } from '../objectives/registry.js';
import { optimizerOf } from '../optimizers/registry.js';
import { describeValue, findProblems } from './find-problems.js';
import { loraFields, trainConfigSchema } from './train-config-schema.js';
import type { LoraConfig, ResolvedTrainConfig, TrainConfig } from './train-config.js';

/**
 * Checks a config and fills in the defaults (openpi's where a laptop can have them).
 * @throws ConfigError that lists every field that cannot be used.
 */
export function resolveTrainConfig(asked: TrainConfig): ResolvedTrainConfig {
  const input = withOwnTargets(asked);
  const problems = findProblems(trainConfigSchema, input);
  if (problems.length > 0) throw new ConfigError({ problems });
  const parsed = v.parse(trainConfigSchema, input);
  const config: ResolvedTrainConfig = {
    ...parsed,
    // What is measured is what is learned, unless it is said otherwise.
    evalData:
      input.evalData && parsed.evalData ? { ...ofRows(parsed.data), ...given(input.evalData, parsed.evalData) } : null,
    resume: parsed.resume || parsed.resumeFrom !== null,
    epochs: parsed.steps === null ? (parsed.epochs ?? 1) : parsed.epochs,
    optimizer: {
      ...parsed.optimizer,
      // An adapter starts from zero and takes about ten times as much.
      learningRate:
        parsed.optimizer.learningRate ??
        optimizerOf(parsed.optimizer.type).defaultLearningRate[parsed.lora ? 'lora' : 'full'],
    },
  };
  const conflicts = findConflicts(config, input);
  if (conflicts.length > 0) throw new ConfigError({ problems: conflicts });
  return config;
}

/** What is said of rows, and not of which part of their source is read. */
function ofRows({ split: _split, config: _config, revision: _revision, ...rows }: DataOptions): DataOptions {
  return rows;
}

/** Of options that were checked, those that were given. */
function given(input: object, { source, ...rest }: DataOptions): Pick<DataOptions, 'source'> & Partial<DataOptions> {
  const entries = Object.entries(rest).filter(([field]) => (input as Record<string, unknown>)[field] !== undefined);
  return { source, ...Object.fromEntries(entries) };
}

/** What PEFT's users call linears: `q_proj`, `all-linear`. */
function withOwnTargets(input: TrainConfig): TrainConfig {
  const targets: unknown = input?.lora?.targets;
  const names: readonly unknown[] = Array.isArray(targets) ? targets : [targets];
  const own = names.map((name) =>
    typeof name === 'string' ? name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) : name,
  );
  const isAll = own.length === 1 && (own[0] === 'all' || own[0] === 'all-linear');
  if (!isAll && !Array.isArray(targets)) return input;
  return { ...input, lora: { ...input.lora, targets: isAll ? 'all' : own } } as TrainConfig;
}

/** The settings of a LoRA that were given; null stands for there being none. */
function givenOf(lora: TrainConfig['lora']): readonly (keyof LoraConfig | null)[] {
  if (lora === undefined || lora === null) return lora === null ? [null] : [];
  return loraFields.filter((field) => lora[field] !== undefined);
}

/** Fields that are right alone but not together. */
function findConflicts(config: ResolvedTrainConfig, input: TrainConfig): ConfigProblem[] {
  const { schedule, optimizer, steps, epochs } = config;
  const problems: ConfigProblem[] = [];
  const add = (isWrong: boolean, path: string, found: string, allowed: string) => {
    if (isWrong) problems.push({ path, found, allowed });
  };
  add(
    config.resume && config.overwrite,
    'resume',
    `${config.resumeFrom === null ? 'true' : `from ${config.resumeFrom}`} together with overwrite: true`,
    'one of `resume` and `overwrite`, not both',
  );
  add(
    steps !== null && epochs !== null,
    'steps',
    `${steps} together with epochs: ${epochs}`,
    'one of `steps` and `epochs`, not both',
  );
  add(
    config.evalData !== null && (input.evalFraction ?? 0) > 0,
    'evalFraction',
    `${config.evalFraction} together with evalData`,
    'one of `evalData` and `evalFraction`, not both',
  );
  add(
    config.lora !== null && config.trainable !== null,
    'trainable',
    `${describeValue(config.trainable)} together with a LoRA`,
    '`trainable` with lora: null (--full); or, for modules that are trained whole beside the LoRA, `lora.modulesToSave`',
  );
  add(
    config.quantize !== null && config.lora === null,
    'quantize',
    `'${config.quantize}' without a LoRA`,
    'null: what is trained itself stays f32. With a LoRA, the base below it can be quantised',
  );
  for (const field of config.adapter === null ? [] : givenOf(input.lora))
    add(
      true,
      field === null ? 'lora' : `lora.${field}`,
      `${describeValue(field === null ? null : input.lora?.[field])} together with an adapter to go on from`,
      'nothing: the settings of `adapter` are those of its LoRA',
    );
  const needsReference = objectiveOf(config.objective).needsReference === true;
  add(
    needsReference && config.adapter !== null,
    'adapter',
    `an adapter to go on from with objective '${config.objective.type}'`,
    'null: the model would be compared with the base, not with what the adapter made of it. Merge the two first (`lapidary export <adapter> --to merged`), and train on that',
  );
  add(
    needsReference && config.lora === null,
    'lora',
    `null with objective '${config.objective.type}'`,
    'a LoRA: the model is compared with itself without its adapter',
  );
  add(
    needsReference && (config.lora?.modulesToSave ?? []).length > 0,
    'lora.modulesToSave',
    `${describeValue(config.lora?.modulesToSave)} with objective '${config.objective.type}'`,
    'none: the model is compared with itself without its adapter, and of modules that are trained whole there is no second copy',
  );
  add(
    config.packing && !objectiveOf(config.objective).packs,
    'packing',
    `true with objective '${config.objective.type}'`,
    'false: this objective has no use for several rows in a sequence',
  );
  const warmup = schedule.warmupSteps ?? 0;
  const decays = schedule.type === 'cosine' || schedule.type === 'linear';
  add(
    steps !== null && warmup >= steps && warmup > 0,
    'schedule.warmupSteps',
    `${warmup} in a run of ${steps} steps`,
    'fewer than `steps`',
  );
  add(
    decays && schedule.decaySteps !== null && schedule.decaySteps <= warmup,
    'schedule.decaySteps',
    `${schedule.decaySteps} with ${warmup} warm-up steps`,
    'more than `warmupSteps`, which it counts too',
  );
  add(
    decays && (schedule.endLearningRate ?? 0) > optimizer.learningRate,
    'schedule.endLearningRate',
    `${schedule.endLearningRate} with learningRate ${optimizer.learningRate}`,
    'at most `optimizer.learningRate`',
  );
  return problems;
}
