import {
  hostParamOf,
  loraSpecs,
  loraUpdates,
  paramTree,
  planVariables,
  type LoraSpec,
  type LoraUpdate,
  type Model,
  type ParamPlan,
  type ParamSpec,
} from '@lapidary/gemma';
import { byteLength, type DType } from '@lapidary/kernels';
import type { Variable } from '@lapidary/tensor';
import { checkPeftNames } from '@lapidary/weights';
import {
  compilePathPattern,
  createLoraOverride,
  createLoraTargetFilter,
  createSavedFilter,
  createScaleOf,
  createTrainableFilter,
  moduleOf,
} from '../../config/path-patterns.js';
import type { PathPattern, ResolvedTrainConfig } from '../../config/train-config.js';
import { findUnmatched } from '../../config/unmatched-patterns.js';
import { ConfigError, type ConfigProblem } from '../../errors/errors.js';
import { formatBytes } from '../../format/format.js';
import type { Task } from '../../objectives/objective.js';
import { quantisedTypes } from '../../quantise/quantised-types.js';
import { optimizerOf } from '../../optimizers/registry.js';
import { withHostRows } from './host-rows.js';
import { keptOf, planTrained, type StepModel } from './programs.js';

/** A parameter of the base as a run reads it. */
export interface BaseParam extends ParamPlan {
  readonly spec: ParamSpec;
}

/** A table that stays in its file, of which the rows of a batch's tokens are an input of its programs. */
export interface HostParam {
  readonly spec: ParamSpec;
  /** As in the file. */
  readonly dtype: DType;
  /** Of the whole table. */
  readonly bytes: number;
  /** Whether a setting that takes in more than this table would have it trained: it stays as it is. */
  readonly isLeftOut: boolean;
}

/** The model of a run: abstract variables for every parameter, and which of them are trained. */
export interface ModelPlan {
  /** Every parameter by path, as it is kept on the device, adapters included. */
  readonly variables: ReadonlyMap<string, Variable>;
  readonly base: ReadonlyMap<string, BaseParam>;
  /** None of `base`; null where the model has no such table. */
  readonly host: HostParam | null;
  /** Tensors of the adapter by path, and what each linear's update is. */
  readonly lora: ReadonlyMap<string, LoraSpec>;
  readonly updates: ReadonlyMap<string, LoraUpdate>;
  /** Parameters of the base that are part of the adapter: those of `lora.modulesToSave`. */
  readonly saved: readonly string[];
  readonly step: StepModel;
}

/** Parameters of a model, and which of them are trained, as counts. */
export function countParameters({ variables, host, lora, step }: ModelPlan): {
  readonly all: number;
  readonly trained: number;
} {
  const sizes = (list: Iterable<Variable>) => [...list].reduce((n, { tensor }) => n + tensor.size, 0);
  // Lengths of rows are no parameters: they come of the weights.
  const all = [...variables].flatMap(([path, variable]) => (lora.get(path)?.kind === 'weightNorm' ? [] : variable));
  const onHost = host?.spec.shape.reduce((a, b) => a * b, 1) ?? 0;
  return { all: sizes(all) + onHost, trained: sizes(step.trained.map(({ param }) => param)) };
}

/** What a plan asks of weights: how each parameter is stored. */
export type StoredTypes = ReadonlyMap<string, { readonly dtype: DType }>;

/**
 * Decides what is trained, and what training keeps of it. Frozen parameters stay as published, or are quantised; trained ones are f32.
 * @throws ConfigError for patterns that match nothing, that name a table on the host, where nothing is left to train, and where nothing can
 * be quantised; AdapterError for what no adapter can hold
 */
export function planModel(model: Model, entries: StoredTypes, run: ResolvedTrainConfig, task: Task): ModelPlan {
  const isTrained = createTrainableFilter(run);
  const isSaved = createSavedFilter(run.lora);
  const base = new Map<string, BaseParam>();
  for (const spec of model.params) {
    if (spec.isOnHost) continue;
    const trained = !spec.isConstant && isTrained(spec.path);
    // What the file lacks is f32: whether it may be missing is the load's to say. So is what an adapter holds whole.
    const dtype =
      trained || (!spec.isConstant && isSaved(spec.path)) ? 'f32' : (entries.get(spec.path)?.dtype ?? 'f32');
    base.set(spec.path, { spec, shape: spec.shape, dtype, category: trained ? 'trainable' : 'weights' });
  }
  const host = planHost(model, entries, run);
  const { lora, updates } = planLora(model, run);
  const saved = [...base].filter(([path, { spec }]) => !spec.isConstant && isSaved(path)).map(([path]) => path);
  // A run with a LoRA ends with an adapter: what that cannot hold is said before the run.
  if (run.lora) checkPeftNames(model, { linears: updates.keys(), params: saved });
  const quantised = quantisedTypes(model, {
    quantize: run.quantize,
    storedOf: (path) => base.get(path)!.dtype,
    isFrozen: (path) => !isTrained(path) && !isSaved(path),
  });
  const plans = new Map<string, ParamPlan>(
    [...base].map(([path, param]) => [path, { ...param, dtype: quantised.get(path) ?? param.dtype }]),
  );
  for (const [path, { shape, kind }] of lora) {
    const category = isTrained(path, kind) ? 'trainable' : 'weights';
    plans.set(path, { shape, dtype: 'f32', category });
  }
  const variables = planVariables(plans);
  const trainedParams = new Map([...variables].filter(([, { category }]) => category === 'trainable'));
  const parameters = [...plans.keys(), ...(host ? [host.spec.path] : [])];
  checkPatterns(model, run, { parameters, trained: [...trainedParams.keys()] });
  const trained = planTrained(trainedParams, {
    optimizer: optimizerOf(run.optimizer.type),
    settings: run.optimizer,
    accumulate: run.gradientAccumulation > 1,
    averages: run.emaDecay !== null,
    scaleOf: createScaleOf(run.paramGroups),
  });
  const averages = new Map(trained.flatMap(({ path, average }) => (average ? [[path, average] as const] : [])));
  const step: StepModel = {
    model,
    task: withHostRows(task, host ? { dtype: host.dtype, width: host.spec.shape[1]! } : undefined),
    params: paramTree(variables, updates),
    evaluated: paramTree(
      new Map([...variables].map(([path, variable]) => [path, averages.get(path) ?? variable])),
      updates,
    ),
    ...(run.lora &&
      saved.length === 0 && { reference: paramTree(new Map([...variables].filter(([path]) => base.has(path)))) }),
    trained,
    optimizer: optimizerOf(run.optimizer.type),
    settings: run.optimizer,
    options: {
      gradientCheckpointing: run.gradientCheckpointing,
      ...(run.lora && run.lora.dropout > 0 && { loraDropout: run.lora.dropout }),
    },
    ...(run.emaDecay !== null && { emaDecay: run.emaDecay }),
  };
  return { variables, base, host, lora, updates, saved, step };
}

/** The model's table that stays on the host. @throws ConfigError where a pattern would have it trained and names nothing else */
function planHost(model: Model, entries: StoredTypes, run: ResolvedTrainConfig): HostParam | null {
  const spec = hostParamOf(model);
  if (spec === undefined) return null;
  const { path, shape } = spec;
  const paths = model.params.map((param) => param.path);
  const matches = (pattern: PathPattern, name: (each: string) => string) => {
    const compiled = compilePathPattern(pattern);
    return compiled.test(name(path)) ? paths.filter((each) => compiled.test(name(each))).length : 0;
  };
  const whole = (each: string) => each;
  const asked = [
    ...(run.lora === null ? (run.trainable ?? []) : []).map((pattern) => ({
      field: 'trainable',
      pattern,
      name: whole,
    })),
    ...(run.lora?.modulesToSave ?? []).map((pattern) => ({ field: 'lora.modulesToSave', pattern, name: moduleOf })),
  ].map((each) => ({ ...each, count: matches(each.pattern, each.name) }));
  const problems = asked.flatMap(({ field, pattern, count }): ConfigProblem[] => {
    if (count !== 1) return [];
    const found = `${typeof pattern === 'string' ? `'${pattern}'` : String(pattern)}, which is ${path}`;
    return [{ path: field, found, allowed: 'other parameters: this one stays in its file, and is never trained' }];
  });
  if (problems.length > 0) throw new ConfigError({ problems });
  const dtype = entries.get(path)?.dtype ?? 'f32';
  const bytes = byteLength(
    dtype,
    shape.reduce((a, b) => a * b, 1),
  );
  const isLeftOut = createTrainableFilter(run)(path);
  return { spec, dtype, bytes, isLeftOut };
}

/** What to tell the user of a table that stays on the host, where it would be trained otherwise; null where there is nothing to tell. */
export function describeHost({ host }: Pick<ModelPlan, 'host'>): string | null {
  if (!host?.isLeftOut) return null;
  return `${host.spec.path} (${formatBytes(host.bytes)}) stays in its file, where the rows of each step are read: it is not trained.`;
}

function planLora(model: Model, { lora }: ResolvedTrainConfig): Pick<ModelPlan, 'lora' | 'updates'> {
  if (lora === null) return { lora: new Map(), updates: new Map() };
  const { rank, alpha, rslora, dora } = lora;
  const shared = { overrideOf: createLoraOverride(lora), targets: createLoraTargetFilter(lora) };
  const options = { rank, alpha, rslora, dora, ...shared };
  return { lora: loraSpecs(model.params, options), updates: loraUpdates(model.params, options) };
}

function checkPatterns(
  model: Model,
  run: ResolvedTrainConfig,
  paths: { readonly parameters: readonly string[]; readonly trained: readonly string[] },
): void {
  const linears = model.params.filter(({ role }) => role === 'linear');
  const problems = findUnmatched(run, { ...paths, linears });
  if (problems.length > 0) throw new ConfigError({ problems });
  if (paths.trained.length > 0) return;
  const found = 'patterns that leave no parameter to train';
  const allowed = 'patterns that match something, or lora';
  throw new ConfigError({ problems: [{ path: 'trainable', found, allowed }] });
}

/** What a run ends with, by path: averages in the place of what was trained, where they are kept. */
export function resultOf({ variables, step }: ModelPlan): Map<string, Variable> {
  const result = new Map(variables);
  for (const { path, average } of step.trained) if (average) result.set(path, average);
  return result;
}

/** Gives back everything that a model holds on the device. */
export function destroyModel({ variables, step }: ModelPlan): void {
  for (const variable of [...variables.values(), ...step.trained.flatMap(keptOf)]) variable.destroy();
}
