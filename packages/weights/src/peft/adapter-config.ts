import { AdapterError } from '../errors.js';
import { patternOf, type ModuleNames, readModuleNames } from './module-patterns.js';

export const configFile = 'adapter_config.json';

/** What an adapter_config.json says of how its tensors are to be applied. */
export interface AdapterConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly rslora: boolean;
  readonly dora: boolean;
  readonly dropout: number;
  /** Ranks and alphas of some modules, by PEFT's patterns: the first that fits counts. */
  readonly rankPattern: readonly (readonly [pattern: RegExp, rank: number])[];
  readonly alphaPattern: readonly (readonly [pattern: RegExp, alpha: number])[];
  /** Which modules have an update. */
  readonly targets: ModuleNames;
  readonly excluded: ModuleNames | undefined;
  /** Layers that have updates; undefined: all. */
  readonly layers: readonly number[] | undefined;
  /** Ends of the names of modules that were trained whole. */
  readonly modulesToSave: readonly string[];
  /** The table of words and the output projection stay one where either was trained whole. */
  readonly tiesEmbedding: boolean;
  readonly baseModel: string | undefined;
}

/** PEFT's own defaults. */
const defaultRank = 8;
const defaultAlpha = 8;
/** For every Gemma. */
const defaultTargets: ModuleNames = { ends: ['q_proj', 'v_proj'] };

/** Fields that say nothing of how an adapter is applied, and why. */
const harmless: Readonly<Record<string, string>> = {
  peft_type: 'read before all others',
  task_type: 'names the Python class around the model',
  auto_mapping: 'as task_type',
  peft_version: 'who wrote it',
  revision: 'of the base on the hub',
  inference_mode: 'whether Python trains it',
  runtime_config: 'PEFT ignores it too',
  merge_weights: 'whether Python merges it before use',
  layers_pattern: 'where layers_to_transform finds the numbers of layers; a Gemma has them in one place',
  loftq_config: 'of init_lora_weights',
  eva_config: 'of init_lora_weights',
  corda_config: 'of init_lora_weights',
  lora_ga_config: 'of init_lora_weights',
  megatron_core: 'of megatron_config',
  qalora_group_size: 'of use_qalora',
};

/** Fields that change what an adapter is, where they are set. */
const refused: Readonly<Record<string, string>> = {
  fan_in_fan_out: 'its tensors are those of transposed weights, which no Gemma has',
  enable_lora: 'parts of a linear are adapted apart',
  lora_bias: 'updates have biases',
  trainable_token_indices: 'some rows of the table of words were trained',
  target_parameters: 'parameters beside linears are adapted',
  layer_replication: 'layers of the base are used several times',
  megatron_config: 'it was made for the layers of Megatron',
  alora_invocation_tokens: 'it is an aLoRA, which only works from certain tokens on',
  use_qalora: 'it is a QALoRA, which sees averages of its inputs',
  use_bdlora: 'it is a BD-LoRA, of blocks',
  arrow_config: 'it is a router between adapters (Arrow)',
  kasa_config: 'it is a KaSA, which takes singular values off the base',
  velora_config: 'it is a VeLoRA, whose file holds more than a LoRA',
  monteclora_config: 'it is a MonteCLoRA, which draws samples',
};

/** Ways to begin that leave the base as it was. */
const plainStarts: readonly unknown[] = [true, false, 'gaussian', 'eva', 'orthogonal', 'mica'];

/** What is as if the field were not there. */
function isUnset(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * What an adapter_config.json says. Every field is used, known to be harmless, or refused by name: also those that are not known, where
 * they are set.
 * @throws AdapterError naming the field
 */
export function readAdapterConfig(json: Readonly<Record<string, unknown>>): AdapterConfig {
  const fail = (problem: string): never => {
    throw new AdapterError(configFile, problem);
  };
  const shown = (value: unknown) => JSON.stringify(value)?.slice(0, 80);
  if (json['peft_type'] !== 'LORA') fail(`peft_type is ${shown(json['peft_type'])}; only LORA is supported.`);

  const read = new Set<string>();
  /** A field's value; undefined where it is not there or null. */
  const take = (field: string): unknown => {
    read.add(field);
    return json[field] ?? undefined;
  };
  const flag = (field: string): boolean => {
    const value = take(field) ?? false;
    return typeof value === 'boolean' ? value : fail(`${field} is ${shown(value)}, neither true nor false.`);
  };
  const rankOf = (value: unknown, field: string): number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
      ? value
      : fail(`${field} is ${shown(value)}, not a whole number of 1 or more.`);
  const alphaOf = (value: unknown, field: string): number =>
    typeof value === 'number' && Number.isFinite(value) && value > 0
      ? value
      : fail(`${field} is ${shown(value)}, not a number above 0.`);
  const names = (field: string): ModuleNames | undefined => {
    const value = take(field);
    if (isUnset(value)) return undefined;
    return readModuleNames(value, (problem) => fail(`${field} ${problem}`));
  };
  const pattern = (field: string, entryOf: (value: unknown, field: string) => number) => {
    const value = take(field) ?? {};
    if (!isFields(value)) return fail(`${field} is ${shown(value)}, not an object.`);
    return Object.entries(value).map(
      ([key, entry]) =>
        [
          patternOf(key, (problem) => fail(`${field} ${problem}`)),
          entryOf(entry, `${field}[${JSON.stringify(key)}]`),
        ] as const,
    );
  };

  const bias = take('bias') ?? 'none';
  if (bias !== 'none') fail(`bias is ${shown(bias)}: biases were trained, which is not supported.`);
  const start = take('init_lora_weights') ?? true;
  if (!plainStarts.includes(start))
    fail(
      `init_lora_weights is ${shown(start)}: the adapter is for a base that this changed, not for the published one. ` +
        'Save it with PEFT’s path_initial_model_for_weight_conversion, which makes a plain LoRA of it.',
    );
  const dropout = take('lora_dropout') ?? 0;
  const saved = take('modules_to_save') ?? [];
  const layers = take('layers_to_transform');
  const base = take('base_model_name_or_path');
  const listed = Array.isArray(layers) ? layers : layers === undefined ? [] : [layers];
  const config: AdapterConfig = {
    rank: rankOf(take('r') ?? defaultRank, 'r'),
    alpha: alphaOf(take('lora_alpha') ?? defaultAlpha, 'lora_alpha'),
    rslora: flag('use_rslora'),
    dora: flag('use_dora'),
    dropout:
      typeof dropout === 'number' && dropout >= 0 && dropout < 1
        ? dropout
        : fail(`lora_dropout is ${shown(dropout)}, not a number from 0 to below 1.`),
    rankPattern: pattern('rank_pattern', rankOf),
    alphaPattern: pattern('alpha_pattern', alphaOf),
    targets: names('target_modules') ?? defaultTargets,
    excluded: names('exclude_modules'),
    layers: listed.every(Number.isSafeInteger)
      ? listed.length === 0
        ? undefined
        : listed
      : fail(`layers_to_transform is ${shown(layers)}, neither the number of a layer nor a list of them.`),
    modulesToSave:
      Array.isArray(saved) && saved.every((name): name is string => typeof name === 'string' && name !== '')
        ? saved
        : fail(`modules_to_save is ${shown(saved)}, not a list of names.`),
    tiesEmbedding: flag('ensure_weight_tying'),
    baseModel: typeof base === 'string' && base !== '' ? base : undefined,
  };
  for (const [field, value] of Object.entries(json)) {
    if (read.has(field) || Object.hasOwn(harmless, field) || isUnset(value)) continue;
    const reason = Object.hasOwn(refused, field)
      ? `${refused[field]}. That is not supported.`
      : 'a field that is not known here; it may change what the adapter is.';
    fail(`${field} is ${shown(value)}: ${reason}`);
  }
  return config;
}
