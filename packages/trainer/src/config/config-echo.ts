import { withoutSecrets, type JsonValue } from '@lapidary/weights';
import type { ResolvedTrainConfig } from './train-config.js';

/** A config as JSON. */
export type ConfigEcho = { readonly [key: string]: JsonValue };

/** The config as JSON for run metadata: RegExps as text, loaders and data objects by what they say of themselves, URLs without secrets. What an adapter says of its LoRA stands in the adapter. */
export function echoConfig({ lora, ...config }: ResolvedTrainConfig): ConfigEcho {
  return toJson(config.adapter === null ? { ...config, lora } : config) as ConfigEcho;
}

/** Every setting as text, by its path: `lora.rank`, `8`. */
export function settingsOf(value: JsonValue, path = ''): [path: string, text: string][] {
  if (isRecord(value))
    return Object.entries(value).flatMap(([key, inner]) => settingsOf(inner, path ? `${path}.${key}` : key));
  const text = Array.isArray(value)
    ? value.map((part) => (typeof part === 'object' ? JSON.stringify(part) : String(part))).join(', ') || 'none'
    : value === null
      ? '–'
      : String(value);
  return [[path, text]];
}

/** What was every linear when `lora.targets` was still written down as a list of names. */
const onceAll = 'qProj,kProj,vProj,oProj,gateProj,upProj,downProj,outProj,fc1,fc2,projector'.split(',');

/** Fields of `lora` that runs of earlier versions do not name, and what they did. */
const loraSince: ConfigEcho = { rankPattern: {}, alphaPattern: {}, dora: false, modulesToSave: [] };

/** An echo with `lora` as today's is written. */
function withLoraNamed(echo: ConfigEcho): ConfigEcho {
  const lora = echo['lora'];
  if (!isRecord(lora)) return echo;
  const { targets } = lora;
  const isAll = Array.isArray(targets) && onceAll.every((name) => targets.includes(name));
  return { ...echo, lora: { ...loraSince, ...lora, ...(isAll && { targets: 'all' }) } };
}

/** Rows given in memory are counted, not repeated, in run metadata. */
const longestList = 64;

/** Deeper than any setting. */
const deepest = 32;

function toJson(value: unknown, depth = 0): JsonValue {
  if (depth > deepest) return '…';
  if (typeof value === 'string') return withoutSecrets(value);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (value instanceof RegExp) return String(value);
  if (value instanceof URL) return withoutSecrets(String(value));
  if (Array.isArray(value))
    return value.length > longestList ? `${value.length} rows` : value.map((each) => toJson(each, depth + 1));
  if (typeof value !== 'object') return String(typeof value);
  const { description } = value as { description?: unknown };
  if (description !== undefined && typeof description !== 'function') return toJson(description, depth + 1);
  const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null);
  const entries = Object.entries(value).filter(
    ([, field]) => field !== undefined && typeof field !== 'function' && (isPlain || isSimple(field)),
  );
  return Object.fromEntries(
    entries.map(([key, field]) => [key, isSecret(key, field) ? '…' : toJson(field, depth + 1)]),
  );
}

/** What a loader of one's own may carry. */
function isSecret(key: string, value: unknown): boolean {
  return typeof value === 'string' && /(token|secret|password|api_?key|authorization|credentials?)$/i.test(key);
}

function isSimple(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value) || value instanceof URL;
}

/** A field in which two echoes differ. */
export interface ConfigChange {
  readonly path: string;
  readonly saved: JsonValue | undefined;
  readonly now: JsonValue | undefined;
  /** True if a run that goes on with it would not be the run that was saved. */
  readonly matters: boolean;
}

/** What may differ when a run is resumed: it changes what is written and when, not what is computed. */
const harmless = new Set([
  'name',
  'evalEvery',
  'saveEvery',
  'keep',
  'keepPeriod',
  'keepBest',
  // When it stops, not what it computes until then.
  'earlyStopping',
  'sampleEvery',
  'sampleCount',
  'sampleTokens',
  'tensorboard',
  'outDir',
  'resume',
  'resumeFrom',
  'overwrite',
  'gradientCheckpointing',
  'memoryBudget',
  // A run that goes on uses the kernels it began with.
  'kernelTuning',
]);

/** Fields that runs of earlier versions do not name, and what they did. */
const since: ConfigEcho = {
  adapter: null,
  matmulPrecision: 'float32',
  objective: { type: 'completion', labelSmoothing: 0 },
  paramGroups: [],
  emaDecay: null,
  quantize: null,
  packing: false,
  keepBest: 'checkpoint',
  earlyStopping: null,
  tensorboard: false,
};

/** Every field in which two echoes differ, by path. */
export function diffConfigs(saved: ConfigEcho, now: ConfigEcho): readonly ConfigChange[] {
  const named = (echo: ConfigEcho, other: ConfigEcho) => {
    const unnamed = Object.fromEntries(Object.entries(since).filter(([field]) => field in other));
    return withLoraNamed({ ...unnamed, ...echo });
  };
  return diffJson(named(saved, now), named(now, saved), '').map((change) => ({
    ...change,
    matters: matters(change.path, now),
  }));
}

/** What decides how far a step goes. */
const rateFields = /^(optimizer\.(learningRate|clipGradNorm)|schedule|paramGroups)(\.|$)/;

/** Whether a change is of the learning rate, its schedule or the clipping of gradients: what a run that diverged may go on with. */
export const isOfRate = ({ path }: ConfigChange): boolean => rateFields.test(path);

function matters(path: string, now: ConfigEcho): boolean {
  const schedule = now['schedule'] as Partial<Record<string, JsonValue>> | undefined;
  // A longer run is the same run as far as it went, if the learning rate does not depend on the length.
  if (path === 'steps' || path === 'epochs') {
    const isWarmupFixed = schedule?.['warmupSteps'] !== null;
    const decays = schedule?.['type'] === 'cosine' || schedule?.['type'] === 'linear';
    return !isWarmupFixed || (decays && schedule?.['decaySteps'] === null);
  }
  return !harmless.has(path.split('.')[0]!);
}

/** Every place, below `path`, in which two values differ. */
export function diffJson(
  saved: JsonValue | undefined,
  now: JsonValue | undefined,
  path: string,
): Omit<ConfigChange, 'matters'>[] {
  if (isRecord(saved) && isRecord(now)) {
    const keys = [...new Set([...Object.keys(saved), ...Object.keys(now)])].sort();
    return keys.flatMap((key) => diffJson(saved[key], now[key], path ? `${path}.${key}` : key));
  }
  return JSON.stringify(saved) === JSON.stringify(now) ? [] : [{ path, saved, now }];
}

function isRecord(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
