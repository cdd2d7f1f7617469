import {
  AdapterError,
  hubIdOf,
  peftAdapterLoader,
  withoutSecrets,
  type BaseWeights,
  type PeftAdapter,
} from '@lapidary/weights';
import { moduleOf } from '../../config/path-patterns.js';
import type { LoraConfig, ResolvedTrainConfig } from '../../config/train-config.js';
import { baseNameOf } from '../export/base-name.js';
import { fingerprintAll } from '../fingerprint.js';
import type { OpenModel } from './open-model.js';

/** The adapter that a run goes on from. */
export interface StartAdapter {
  /** f32, by path: tensors beside linears, and parameters that were trained whole. */
  readonly values: ReadonlyMap<string, Float32Array>;
  /** Of its settings and of every value. */
  readonly fingerprint: string;
  /** The weights that it was trained over, where its file says it. */
  readonly baseWeights: BaseWeights | undefined;
  readonly notices: readonly string[];
}

/** A run's settings with those of the adapter that it goes on from, where it does, as its LoRA. @throws AdapterError; what its files throw */
export async function openStart(
  config: ResolvedTrainConfig,
  open: Pick<OpenModel, 'model' | 'weights'>,
): Promise<{ readonly run: ResolvedTrainConfig; readonly start: StartAdapter | null }> {
  if (config.adapter === null) return { run: config, start: null };
  const loader = typeof config.adapter === 'string' ? peftAdapterLoader({ from: config.adapter }) : config.adapter;
  const adapter = await loader.open(open.model);
  const lora = loraOf(adapter);
  const values = new Map([...adapter.tensors, ...adapter.params]);
  const place = withoutSecrets(typeof loader.description === 'string' ? loader.description : 'that is gone on from');
  const base = baseNameOf(config.weightLoader, open.weights);
  const notices = isOtherBase(adapter.baseModel, base)
    ? [
        `The adapter ${place} names ${adapter.baseModel} as its base, and this model is ${base}: its shapes fit, but it was trained over other weights.`,
      ]
    : [];
  return {
    run: { ...config, lora },
    start: { values, fingerprint: fingerprintOf(lora, values), baseWeights: adapter.baseWeights, notices },
  };
}

/** The settings of a LoRA that is this adapter. @throws AdapterError for one that training cannot go on from */
export function loraOf({
  updates,
  rslora,
  dropout,
  tensors,
  params,
  splitsEmbedding,
}: Omit<PeftAdapter, 'targets' | 'baseModel' | 'baseWeights'>): LoraConfig {
  if (splitsEmbedding)
    throw new AdapterError(
      'adapter_model.safetensors',
      'the table of words and the output projection were trained apart, but this model has one table for both: training cannot go on from it.',
    );
  const [first] = updates.values();
  if (first === undefined)
    throw new AdapterError(
      'adapter_model.safetensors',
      'holds modules that were trained whole, and no LoRA: training cannot go on from it.',
    );
  const isAlike = [...updates.values()].every(({ rank, alpha }) => rank === first.rank && alpha === first.alpha);
  // A pattern fits every path that ends in it: the longer come first.
  const linears = [...updates].sort(([a], [b]) => b.length - a.length);
  const each = (field: 'rank' | 'alpha') =>
    isAlike ? {} : Object.fromEntries(linears.map(([path, update]) => [path, update[field]]));
  return {
    rank: first.rank,
    alpha: first.alpha,
    rankPattern: each('rank'),
    alphaPattern: each('alpha'),
    rslora,
    dora: [...tensors.keys()].some((path) => path.endsWith('.lora.magnitude')),
    dropout,
    targets: new RegExp(linears.map(([path]) => path.replaceAll('.', '\\.')).join('|')),
    towers: [],
    layers: null,
    modulesToSave: [...new Set([...params.keys()].map(moduleOf))],
  };
}

/** Only names on the hub tell: a folder may hold any model. */
function isOtherBase(named: string | undefined, base: string | undefined): boolean {
  const [its, ours] = [named, base].map((name) => name && hubIdOf(name));
  return Boolean(its && ours && its.toLowerCase() !== ours.toLowerCase());
}

function fingerprintOf({ targets: _, ...lora }: LoraConfig, values: StartAdapter['values']): string {
  return fingerprintAll([lora, ...[...values].sort(([a], [b]) => (a < b ? -1 : 1))]);
}
