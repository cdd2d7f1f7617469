// A hundred mistakes in a config: each error names the field, what was found there, and what would be right.
import { expect, it } from 'vitest';
import { ConfigError } from '../errors/errors.js';
import { unopenedLoader } from '../testing/unopened-loader.js';
import { resolveTrainConfig } from './resolve-train-config.js';
import type { TrainConfig } from './train-config.js';

const right = { weightLoader: unopenedLoader(), data: { source: 'rows.jsonl' } };
/** `field` is where the mistake is, and where it is told; `allowed` what must be in the advice. */
type Mistake = readonly [field: string, value: unknown, allowed: string];

const deep = (levels: number): unknown => {
  let list: unknown = [];
  for (let i = 0; i < levels; i++) list = [list];
  return list;
};
const hostile = { toString: 1, valueOf: 2, toJSON: 3 };

const mistakes: readonly Mistake[] = [
  // Of the wrong kind
  ['name', '', 'a name of letters'],
  ['name', 'a/b', 'a name of letters'],
  ['name', 7, 'a name of letters'],
  ['weightLoader', undefined, 'open() method'],
  ['weightLoader', null, 'open() method'],
  ['weightLoader', 'google/gemma-3-270m', 'open() method'],
  ['weightLoader', { open: true }, 'open() method'],
  ['data', undefined, '{ source,'],
  ['data', null, '{ source,'],
  ['data', 'rows.jsonl', '{ source,'],
  ['data.source', undefined, 'a path'],
  ['data.source', '', 'a path'],
  ['data.source', 7, 'a path'],
  ['data.source', new Date(0), 'a path'],
  ['data.source', {}, 'a path'],
  ['data.format', 'jsonl', "'messages'"],
  ['data.format', null, "'messages'"],
  ['data.lossOn', 'prompt', "'completion', 'last', 'all'"],
  ['data.tooLong', 'cut', "'truncate'"],
  ['evalData', 'eval.jsonl', '{ source,'],
  ['evalData', false, '{ source,'],
  ['evalData.source', 7, 'a path'],
  ['evalFraction', -0.1, '0 or more'],
  ['evalFraction', 1, 'below 1'],
  ['evalFraction', '0.1', 'a number'],
  ['evalFraction', Number.NaN, 'a number'],
  ['maxLength', 1, '2 or more'],
  ['maxLength', 512.5, 'a whole number'],
  ['maxLength', Number.POSITIVE_INFINITY, 'a whole number'],
  ['maxLength', 10n, 'a whole number'],
  ['maxLength', null, 'a whole number'],
  ['imagePreset', 'clip', 'null, or one of'],
  ['batchSize', 0, '1 or more'],
  ['batchSize', -4, '1 or more'],
  ['batchSize', '8', 'a whole number'],
  ['batchSize', [8], 'a whole number'],
  ['gradientAccumulation', 0, '1 or more'],
  ['gradientAccumulation', true, 'a whole number'],
  ['steps', 0, 'null, or a whole number'],
  ['steps', 1.5, 'null, or a whole number'],
  ['steps', 2 ** 60, 'null, or a whole number'],
  ['epochs', 0, 'above 0'],
  ['epochs', -1, 'above 0'],
  ['seed', -1, 'from 0 to 4294967295'],
  ['seed', 2 ** 32, 'from 0 to 4294967295'],
  ['seed', 'random', 'from 0'],
  ['objective', 'completion', 'an object'],
  ['objective.type', 'kto', "'completion', 'dpo'"],
  ['packing', 'yes', 'true or false'],
  ['keepBest', true, "'checkpoint', 'export', 'never'"],
  ['earlyStopping', 3, '{ patience, minDelta }'],
  ['earlyStopping.patience', 0, '1 or more'],
  ['objective.labelSmoothing', 1, 'below 1'],
  ['objective.labelSmoothing', '0.1', 'a number'],
  ['optimizer', 'adamw', 'an object'],
  ['optimizer.type', 'adam8bit', "'adamw', 'sgd', 'lion', 'adafactor'"],
  ['optimizer.learningRate', 0, 'above 0'],
  ['optimizer.learningRate', '1e-4', 'a number'],
  ['optimizer.learningRate', Number.POSITIVE_INFINITY, 'a number'],
  ['optimizer.betas', [0.9], 'two numbers'],
  ['optimizer.betas', 0.9, 'two numbers'],
  ['optimizer.betas', [0.9, 1.1], 'below 1'],
  ['optimizer.eps', 0, 'above 0'],
  ['optimizer.weightDecay', -0.1, '0 or more'],
  ['optimizer.clipGradNorm', 0, 'above 0'],
  ['paramGroups', {}, 'a list of groups'],
  ['paramGroups.0', 'norms', '{ paths,'],
  ['emaDecay', 1, 'below 1'],
  ['schedule', 'cosine', '{ type,'],
  ['schedule.type', 'cosin', "'cosine'"],
  ['schedule.warmupSteps', -1, '0 or more'],
  ['schedule.warmupSteps', 0.1, 'a whole number'],
  ['schedule.decaySteps', 0, '1 or more'],
  ['schedule.timescale', 0, 'above 0'],
  ['lora', 8, 'null for full fine-tuning'],
  ['lora', true, 'null for full fine-tuning'],
  ['lora.rank', 0, 'from 1 to 4096'],
  ['lora.rank', 8.5, 'from 1 to 4096'],
  ['lora.alpha', 0, 'above 0'],
  ['lora.alpha', -16, 'above 0'],
  ['lora.dropout', 1, 'below 1'],
  ['lora.rslora', 'yes', 'true or false'],
  ['lora.rankPattern', ['qProj'], 'an object of patterns'],
  ['lora.rankPattern', { qProj: 0 }, 'from 1 to 4096'],
  ['lora.rankPattern', { 'mlp.*': '8' }, 'from 1 to 4096'],
  ['lora.rankPattern', null, 'an object of patterns'],
  ['lora.alphaPattern', { oProj: -1 }, 'above 0'],
  ['lora.alphaPattern', 'oProj=4', 'an object of patterns'],
  ['lora.dora', 1, 'true or false'],
  ['lora.modulesToSave', 'embedTokens', 'a list of patterns of modules'],
  ['lora.modulesToSave', [''], 'a list of patterns of modules'],
  ['lora.targets', [], "'all'"],
  ['lora.targets', 'qProj', "'all'"],
  ['lora.targets', ['query'], "'qProj'"],
  ['lora.towers', ['text'], "'language'"],
  ['lora.layers', [-1], 'layer numbers from 0'],
  ['lora.layers', 3, 'layer numbers from 0'],
  ['freeze', 'embed', 'a list of path patterns'],
  ['freeze', [''], 'a list of path patterns'],
  ['trainable', ['x', 7], 'a list of path patterns'],
  ['allowMissing', /x/, 'a list of path patterns'],
  ['gradientCheckpointing', 1, 'true or false'],
  ['kernelTuning', true, "'never'"],
  ['matmulPrecision', 'bf16', "'float16'"],
  ['memoryBudget', 0, '1 or more'],
  ['memoryBudget', '8GB', 'a whole number'],
  ['evalEvery', 0, '1 or more'],
  ['saveEvery', 0.5, 'a whole number'],
  ['keep', 0, '1 or more'],
  ['sampleCount', -1, '0 or more'],
  ['sampleTokens', 0, '1 or more'],
  ['outDir', '  ', 'not empty'],
  ['resume', 'true', 'true or false'],
  // Objects that fight back
  ['batchSize', hostile, 'a whole number'],
  ['name', hostile, 'a name of letters'],
  ['lora.targets', hostile, "'all'"],
  ['freeze', deep(100_000), 'a list of path patterns'],
  ['data.source', Object.create(null), 'a path'],
  ['optimizer.betas', deep(100_000), 'two numbers'],
  // Names of other trainers, and slips
  ['lr', 1e-4, '`optimizer.learningRate`'],
  ['learning_rate', 1e-4, '`optimizer.learningRate`'],
  ['optimizer.lr', 1e-4, '`optimizer.learningRate`'],
  ['num_train_epochs', 3, '`epochs`'],
  ['per_device_train_batch_size', 4, '`batchSize`'],
  ['batch_size', 4, '`batchSize`'],
  ['gradient_accumulation_steps', 4, '`gradientAccumulation`'],
  ['max_seq_length', 512, '`maxLength`'],
  ['max_steps', 100, '`steps`'],
  ['warmup_steps', 10, '`schedule.warmupSteps`'],
  ['lr_scheduler_type', 'cosine', '`schedule.type`'],
  ['output_dir', 'out', '`outDir`'],
  ['optim', 'adamw_torch', '`optimizer.type`'],
  ['weight_decay', 0.1, '`optimizer.weightDecay`'],
  ['max_grad_norm', 1, '`optimizer.clipGradNorm`'],
  ['r', 8, '`lora.rank`'],
  ['lora.r', 8, '`lora.rank`'],
  ['lora_alpha', 16, '`lora.alpha`'],
  ['lora.lora_alpha', 16, '`lora.alpha`'],
  ['target_modules', ['q_proj'], '`lora.targets`'],
  ['rank_pattern', { q_proj: 4 }, '`lora.rankPattern`'],
  ['lora.use_dora', true, '`lora.dora`'],
  ['modules_to_save', ['embed_tokens'], '`lora.modulesToSave`'],
  ['epocs', 3, '`epochs`'],
  ['data.tooLng', 'skip', '`tooLong`'],
  ['optimizer.momentum', 0.9, 'no such field'],
  ['toString', 1, 'no such field'],
  ['constructor', 1, 'no such field'],
];

/** The right config but for one field. */
function withMistake(field: string, value: unknown): unknown {
  const path = field.split('.');
  const set = (object: unknown, [key, ...rest]: readonly string[]): unknown => {
    const copy = key === '0' ? [] : { ...(object as object | undefined) };
    const inner = Object.hasOwn(copy, key!) ? (copy as Record<string, unknown>)[key!] : undefined;
    Object.defineProperty(copy, key!, {
      value: rest.length === 0 ? value : set(inner, rest),
      enumerable: true,
      configurable: true,
      writable: true,
    });
    return copy;
  };
  const base = field.startsWith('evalData.') ? { ...right, evalData: { source: 'rows.jsonl' } } : right;
  return set(base, path);
}

it('there are a hundred', () => {
  expect(mistakes.length).toBeGreaterThan(100);
  expect(() => resolveTrainConfig(right as TrainConfig)).not.toThrow();
});

it.each(mistakes.map(([field], i) => [field, i] as const))('%s (%i)', (field, i) => {
  const [, value, allowed] = mistakes[i]!;
  let error: unknown;
  try {
    resolveTrainConfig(withMistake(field, value) as TrainConfig);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(ConfigError);
  const { problems, message } = error as ConfigError;
  expect(problems.map(({ path }) => path)).toEqual([field]);
  const [problem] = problems;
  expect(problem!.allowed).toContain(allowed);
  expect(problem!.found).not.toMatch(/^(undefined|\[object.*)?$/);
  expect(message).toContain(`${field}: found ${problem!.found}; allowed: ${problem!.allowed}`);
  expect(message.length).toBeLessThan(1000);
});
