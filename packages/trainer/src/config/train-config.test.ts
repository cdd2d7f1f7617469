import { expect, test } from 'vitest';
import { ConfigError } from '../errors/errors.js';
import { diffConfigs, echoConfig } from './config-echo.js';
import { createLoraTargetFilter, createTrainableFilter } from './path-patterns.js';
import { planRun } from './plan-run.js';
import { unopenedLoader } from '../testing/unopened-loader.js';
import { resolveTrainConfig } from './resolve-train-config.js';
import type { TrainConfig } from './train-config.js';

class FileLoader {
  readonly kind = 'safetensors';
  readonly cache = new Map();
  readonly open = unopenedLoader().open;
  constructor(readonly path: string) {}
}
const minimal: TrainConfig = { weightLoader: new FileLoader('/models/gemma'), data: { source: 'rows.jsonl' } };

function problemsOf(config: unknown): Record<string, string> {
  try {
    resolveTrainConfig(config as TrainConfig);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    const { problems, message } = error as ConfigError;
    for (const { path, found, allowed } of problems) {
      expect(message).toContain(`${path}: found ${found}; allowed: ${allowed}`);
      expect(allowed).not.toMatch(/undefined|Invalid|object Object/);
    }
    return Object.fromEntries(problems.map(({ path, found, allowed }) => [path, `${found} | ${allowed}`]));
  }
  return {};
}

test("defaults: openpi's optimizer and schedule, LoRA on all linears, one epoch", () => {
  const config = resolveTrainConfig(minimal);
  expect(config).toMatchObject({
    batchSize: 4,
    gradientAccumulation: 1,
    steps: null,
    epochs: 1,
    seed: 42,
    evalFraction: 0.1,
    evalData: null,
    optimizer: {
      type: 'adamw',
      learningRate: 2e-4,
      betas: [0.9, 0.95],
      eps: 1e-8,
      weightDecay: 1e-10,
      clipGradNorm: 1,
    },
    schedule: { type: 'cosine', warmupSteps: null, warmupRule: 'openpi' },
    lora: { rank: 8, alpha: 16, rslora: false, dropout: 0, layers: null },
    data: { source: 'rows.jsonl', format: 'auto', lossOn: 'completion', tooLong: 'error' },
    freeze: [],
    trainable: null,
    resume: false,
    overwrite: false,
  });
  expect(config.lora!.targets).toBe('all');
  expect(resolveTrainConfig({ ...minimal, lora: null }).optimizer.learningRate).toBe(2.5e-5);
  expect(resolveTrainConfig({ ...minimal, steps: 10, lora: undefined, batchSize: undefined }).epochs).toBeNull();
});

test('every wrong field is named with what was found and what is allowed', () => {
  expect(
    problemsOf({
      weightLoader: { load() {} },
      data: { source: 'x', format: 'csv', lossOn: 3 },
      batchSize: 0,
      learningRate: 1,
      optimizer: { learningRate: -1, betas: [0.9, 1], clipGradNorm: 0 },
      schedule: { type: 'cosin', warmupSteps: 1.5 },
      lora: { rank: '8', targets: ['query'], rang: 4 },
      freeze: 'embed',
      evalFraction: NaN,
      epocs: 3,
    }),
  ).toEqual({
    weightLoader: 'an object with load | a weight loader: an object with an open() method',
    'data.format': "'csv' | one of 'auto', 'completion', 'messages', 'text'",
    'data.lossOn': "3 | one of 'completion', 'last', 'all'",
    batchSize: '0 | a whole number, 1 or more',
    learningRate: '1 | no such field; did you mean `optimizer.learningRate`?',
    'optimizer.learningRate': '-1 | a number above 0',
    'optimizer.betas': '[0.9,1] | two numbers from 0 to below 1',
    'optimizer.clipGradNorm': '0 | a number above 0',
    'schedule.type': "'cosin' | one of 'constant', 'cosine', 'linear', 'rsqrt'",
    'schedule.warmupSteps': '1.5 | null, or a whole number, 0 or more',
    'lora.rank': "'8' | a whole number from 1 to 4096",
    'lora.targets': `["query"] | 'all', a RegExp of paths, or a list of 'qProj', 'kProj', 'vProj', 'oProj', 'gateProj', 'upProj', 'downProj', 'perLayerInputGate', 'perLayerProjection', 'perLayerModelProjection', 'dense', 'outProj', 'fc1', 'fc2', 'projector'`,
    'lora.rang': '4 | no such field; did you mean `rank`?',
    freeze: "'embed' | a list of path patterns: texts such as 'layers.*.attn.**', or RegExps",
    evalFraction: 'NaN | a number 0 or more and below 1',
    epocs: '3 | no such field; did you mean `epochs`?',
  });
});

test('fields of list elements, and of the value that a type chooses', () => {
  const groups = [{ paths: ['**'], lrScale: 2 }, { paths: [] }, 3];
  expect(problemsOf({ ...minimal, paramGroups: groups, optimizer: { momentum: 0.9 } })).toEqual({
    'paramGroups.0.lrScale': '2 | no such field; there are paths, learningRateScale, weightDecayScale',
    'paramGroups.1.paths': expect.stringContaining('a list of path patterns') as string,
    'paramGroups.2': '3 | an object: { paths, learningRateScale, weightDecayScale }',
    'optimizer.momentum': '0.9 | no such field; there are type, learningRate, betas, eps, weightDecay, clipGradNorm',
  });
  expect(problemsOf({ ...minimal, optimizer: { type: 'lion', momentum: 0.9 } })).toEqual({
    'optimizer.momentum':
      "0.9 | no such field of 'lion'; there are type, learningRate, betas, weightDecay, clipGradNorm",
  });
});

test('missing and misshapen objects', () => {
  expect(problemsOf({})).toEqual({
    weightLoader: 'nothing | a weight loader: an object with an open() method',
    data: 'nothing | an object with `source`: { source, format, lossOn, tooLong, promptKey, completionKey, chatTemplateKwargs, split, config, revision }',
  });
  expect(problemsOf({ ...minimal, data: {}, optimizer: 'adam', lora: 8 })).toEqual({
    'data.source': 'nothing | a path, a URL, a data set of the hub, a list of rows, or a File',
    optimizer: "'adam' | an object: { type, learningRate, betas, eps, weightDecay, clipGradNorm }",
    lora: '8 | null for full fine-tuning, or an object: { rank, alpha, rankPattern, alphaPattern, rslora, dora, dropout, targets, towers, layers, modulesToSave }',
  });
  for (const nothing of [undefined, null, 'config', []])
    expect(() => resolveTrainConfig(nothing as unknown as TrainConfig)).toThrow(ConfigError);
});

test('fields that contradict each other', () => {
  const both = {
    ...minimal,
    resume: true,
    overwrite: true,
    steps: 10,
    epochs: 1,
    evalData: { source: 'e' },
    evalFraction: 0.2,
    trainable: ['embedTokens.*'],
    schedule: { warmupSteps: 10, decaySteps: 5, endLearningRate: 1 },
  };
  expect(Object.keys(problemsOf(both))).toEqual([
    'resume',
    'steps',
    'evalFraction',
    'trainable',
    'schedule.warmupSteps',
    'schedule.decaySteps',
    'schedule.endLearningRate',
  ]);
});

test('trainable and LoRA filters', () => {
  const base = { lora: null, freeze: [], trainable: null };
  const paths = [
    'embedTokens.weight',
    'layers.0.attn.qProj.weight',
    'layers.10.mlp.upProj.weight',
    'layers.0.attn.qProj.lora.a',
  ];
  const chosen = (filter: ReturnType<typeof createTrainableFilter>) =>
    paths.map((path) => (filter(path, path.includes('.lora.') ? 'a' : undefined) ? 1 : 0)).join('');
  const lora = resolveTrainConfig(minimal).lora;
  expect(chosen(createTrainableFilter(base))).toBe('1111');
  expect(chosen(createTrainableFilter({ ...base, freeze: ['layers.*.attn.**'] }))).toBe('1010');
  expect(chosen(createTrainableFilter({ ...base, freeze: [/layers\.\d\..*/] }))).toBe('1010');
  expect(chosen(createTrainableFilter({ ...base, freeze: [/layers/] }))).toBe('1111'); // a part of a path is no match
  expect(chosen(createTrainableFilter({ ...base, trainable: ['embedTokens.*'] }))).toBe('1000');
  expect(chosen(createTrainableFilter({ ...base, lora }))).toBe('0001');
  expect(chosen(createTrainableFilter({ ...base, lora, freeze: ['layers.0.**'] }))).toBe('0000');
  const saving = { ...lora!, modulesToSave: ['embedTokens', /layers\.10\..*/] };
  expect(chosen(createTrainableFilter({ ...base, lora: saving }))).toBe('1011');
  expect(chosen(createTrainableFilter({ ...base, lora: saving, freeze: ['embedTokens.*'] }))).toBe('0011');

  const linears = [
    { path: 'layers.0.attn.qProj.weight', tower: 'language', layer: 0 },
    { path: 'layers.1.mlp.gateProj.weight', tower: 'language', layer: 1 },
    { path: 'layers.12.attn.qProj.weight', tower: 'language', layer: 12 },
    { path: 'multiModalProjector.projector.weight', tower: 'projector' },
  ];
  const targets = (config: object) =>
    linears.map((place) => (createLoraTargetFilter({ ...lora!, ...config })(place) ? 1 : 0)).join('');
  expect(targets({})).toBe('1110');
  expect(targets({ targets: ['qProj'], layers: [12] })).toBe('0010');
  expect(targets({ targets: /layers\.\d\.(attn|mlp)\..*/ })).toBe('1100');
});

test('the echo is JSON, without functions or rows', () => {
  const config = resolveTrainConfig({
    ...minimal,
    freeze: [/embed.*/i, 'layers.*'],
    evalData: { source: Array.from({ length: 500 }, () => ({})) },
  });
  const echo = echoConfig(config);
  expect(JSON.parse(JSON.stringify(echo))).toEqual(echo);
  expect(echo).toMatchObject({
    weightLoader: { kind: 'safetensors', path: '/models/gemma' },
    freeze: ['/embed.*/i', 'layers.*'],
    evalData: { source: '500 rows' },
  });
  expect(echo['weightLoader']).not.toHaveProperty('cache');
  const description = { hub: 'google/gemma-3-270m', revision: 'abc' };
  const described = { ...unopenedLoader({ description }), secret: 'token' };
  expect(echoConfig(resolveTrainConfig({ ...minimal, weightLoader: described }))['weightLoader']).toEqual(description);
});

test('the difference of two configs says which changes matter', () => {
  const changes = (a: Partial<TrainConfig>, b: Partial<TrainConfig>) =>
    diffConfigs(
      echoConfig(resolveTrainConfig({ ...minimal, ...a })),
      echoConfig(resolveTrainConfig({ ...minimal, ...b })),
    );
  expect(changes({}, {})).toEqual([]);
  expect(changes({ optimizer: { learningRate: 1e-3 }, saveEvery: 5 }, { outDir: 'b', lora: null })).toEqual(
    expect.arrayContaining([
      { path: 'optimizer.learningRate', saved: 1e-3, now: 2.5e-5, matters: true },
      { path: 'saveEvery', saved: 5, now: null, matters: false },
      { path: 'outDir', saved: 'out', now: 'b', matters: false },
      expect.objectContaining({ path: 'lora', now: null, matters: true }),
    ]),
  );
  const half = { matmulPrecision: 'float16' } as const;
  expect(changes({}, half)).toEqual([{ path: 'matmulPrecision', saved: 'float32', now: 'float16', matters: true }]);
  // A run of a version that had no such field goes on.
  const {
    matmulPrecision: _,
    objective: __,
    paramGroups: ___,
    emaDecay: ____,
    ...old
  } = echoConfig(resolveTrainConfig(minimal));
  expect(diffConfigs(old, echoConfig(resolveTrainConfig(minimal)))).toEqual([]);
  // Nor does it matter which linears other models have: all are all.
  const { lora } = echoConfig(resolveTrainConfig(minimal)) as { lora: object };
  expect(lora).toMatchObject({ targets: 'all' });
  const named = [
    'qProj',
    'kProj',
    'vProj',
    'oProj',
    'gateProj',
    'upProj',
    'downProj',
    'outProj',
    'fc1',
    'fc2',
    'projector',
  ];
  expect(diffConfigs({ ...old, lora: { ...lora, targets: named } }, echoConfig(resolveTrainConfig(minimal)))).toEqual(
    [],
  );
  expect(changes({}, { lora: { targets: ['qProj'] } })).toMatchObject([{ path: 'lora.targets', matters: true }]);
  const constant = { schedule: { type: 'constant', warmupSteps: 2 } } as const;
  expect(changes({ steps: 10 }, { steps: 20 })).toMatchObject([{ path: 'steps', matters: true }]);
  expect(changes({ steps: 10, ...constant }, { steps: 20, ...constant })).toMatchObject([
    { path: 'steps', matters: false },
  ]);
  expect(changes({}, { weightLoader: new FileLoader('/other') })).toMatchObject([
    { path: 'weightLoader.path', matters: true },
  ]);
});

test('the plan of a run follows from rows, batch and epochs', () => {
  const config = resolveTrainConfig({ ...minimal, epochs: 3, batchSize: 4, gradientAccumulation: 2 });
  const plan = planRun(config, 100);
  expect(plan).toMatchObject({ stepsPerEpoch: 13, totalSteps: 39, warmupSteps: 1, evalEvery: 4, saveEvery: 4 });
  expect(plan.schedule(0)).toBeCloseTo(1e-4, 12);
  expect(plan.schedule(1)).toBeCloseTo(2e-4, 12);
  expect(plan.schedule(39)).toBeCloseTo(2e-5, 12);
  expect(planRun(resolveTrainConfig({ ...minimal, steps: 30_000 }), 8)).toMatchObject({
    totalSteps: 30_000,
    warmupSteps: 1000,
    saveEvery: 1000,
  });
  expect(planRun(resolveTrainConfig({ ...minimal, steps: 1 }), 8).totalSteps).toBe(1);
});

test('what is evaluated is read as what is learned, unless it is said otherwise', () => {
  const data = { source: 'a.jsonl', format: 'text', lossOn: 'all', tooLong: 'skip' } as const;
  const evalDataOf = (evalData: { source: string; tooLong?: 'truncate' | undefined } | null) =>
    resolveTrainConfig({ ...minimal, data, evalData }).evalData;
  expect(evalDataOf({ source: 'b.jsonl' })).toEqual({ ...data, source: 'b.jsonl' });
  expect(evalDataOf({ source: 'b.jsonl', tooLong: 'truncate' })).toEqual({
    ...data,
    source: 'b.jsonl',
    tooLong: 'truncate',
  });
  expect(evalDataOf({ source: 'b.jsonl', tooLong: undefined })?.tooLong).toBe('skip');
  expect(evalDataOf(null)).toBeNull();
});

test('a run that goes on from an adapter has no settings of a LoRA of its own', () => {
  const resolve = (over: Partial<TrainConfig>) => () => resolveTrainConfig({ ...minimal, adapter: 'first', ...over });
  expect(resolve({ lora: { rank: 8, dora: false } })).toThrow(
    /lora\.rank: found 8 together with an adapter.*\n.*lora\.dora: found false together with an adapter/,
  );
  expect(resolve({ lora: null })).toThrow(/lora: found null together with an adapter/);
  expect(resolve({ lora: { targets: ['qProj'] } })).toThrow(/lora\.targets: found \["qProj"\]/);
  expect(resolve({ objective: { type: 'dpo' } })).toThrow(/adapter: found an adapter .*'dpo'.*Merge the two/);
  expect(resolve({ adapter: '' })).toThrow(/adapter: found ''; allowed: null, or a folder/);
  expect(resolve({ adapter: 4 as never })).toThrow(/adapter: found 4; allowed: null, or a folder/);
  expect(resolve({ lora: {} })()).toMatchObject({ adapter: 'first' });
});

test('what is written down of such a run is where the adapter is, not a LoRA that it does not have', () => {
  const echo = echoConfig(resolveTrainConfig({ ...minimal, adapter: 'https://hub/first?token=hf_secretsecretsecret' }));
  expect(echo).not.toHaveProperty('lora');
  expect(JSON.stringify(echo['adapter'])).not.toContain('secretsecret');
  // A run of a version that knew of none goes on.
  const { adapter: _, ...old } = echoConfig(resolveTrainConfig(minimal));
  expect(diffConfigs(old, echoConfig(resolveTrainConfig(minimal)))).toEqual([]);
});
