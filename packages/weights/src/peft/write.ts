import type { HfConfig, LoraUpdate, Model } from '@lapidary/gemma/model';
import { encodeFloats } from '../dtype/convert.js';
import { AdapterError } from '../errors.js';
import { encodeSafetensors, type TensorData } from '../safetensors/write.js';
import { type BaseWeights, baseWeightsKey, encodeBaseWeights } from './base-weights.js';
import { checkPeftNames, hfLayout, type LinearModule, linearModules, paramNames, pythonClassOf } from './modules.js';

/** What an adapter's files say. */
export interface PeftAdapterOptions {
  /** The base model. */
  readonly model: Model;
  /** Of each linear that has one: `layers.0.attn.qProj`. */
  readonly updates: ReadonlyMap<string, Pick<LoraUpdate, 'rank' | 'alpha'>>;
  /** Scale alpha / √rank instead of alpha / rank. Default false. */
  readonly rslora?: boolean;
  readonly dropout?: number;
  /** f32: `layers.0.attn.qProj.lora.a` [rank, in] and `.lora.b` [out, rank]; of a DoRA also `.lora.magnitude` [out]. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  /**
   * Parameters that were trained whole, by path: all of a module's (weight and bias). The table of words is the output projection too and
   * is written for both, since PEFT would leave either as it was.
   */
  readonly params?: ReadonlyMap<string, TensorData>;
  /** The table of words and the output projection (`Model.headPath` among `params`) were trained apart. Default false. */
  readonly splitsEmbedding?: boolean;
  /** Where PEFT finds the base: a hub id or folder. */
  readonly baseModel?: string;
  /** The base's config.json: it says which class Python opens, and so the names of modules. Default: as the model is published. */
  readonly baseConfig?: HfConfig;
  /** The weights that it was trained over: they are compared with those that it is put over. */
  readonly baseWeights?: BaseWeights;
}

/** An adapter's files by name; tensors are asked for their bytes one after the other. */
export interface PeftFiles {
  readonly 'adapter_config.json': Uint8Array;
  readonly 'adapter_model.safetensors': AsyncIterable<Uint8Array>;
}

const weightsFile = 'adapter_model.safetensors';
/** PEFT's, before any tensor's name. */
const wrapper = 'base_model.model.';

/** The kinds of a linear's tensors, as PEFT names them. */
const suffixes = { a: 'lora_A.weight', b: 'lora_B.weight', magnitude: 'lora_magnitude_vector' };

/** The two files of an adapter as Hugging Face PEFT loads it. @throws {AdapterError} naming what does not fit. */
export function peftAdapterFiles(options: PeftAdapterOptions): PeftFiles {
  const { model, updates, tensors, params = new Map<string, TensorData>(), baseConfig, baseWeights } = options;
  checkPeftNames(model, { linears: updates.keys(), params: params.keys() }, baseConfig);
  const linears = linearModules(model);
  const { moduleName, hasOtherModules } = pythonClassOf(model, baseConfig);
  const names = paramNames(model);
  const towers = new Set(model.params.flatMap(({ path, tower }) => (names.has(path) ? [tower] : [])));
  const hasOneTower = towers.size === 1 && !hasOtherModules;
  const isDora = [...tensors.keys()].some((path) => path.endsWith('.lora.magnitude'));

  const stored = new Map<string, TensorData>();
  const adapted = new Map<LinearModule, Pick<LoraUpdate, 'rank' | 'alpha'>>();
  for (const [path, update] of updates) {
    const linear = linears.get(path);
    if (linear === undefined) throw new AdapterError(weightsFile, `${path} is no linear of this model.`);
    adapted.set(linear, update);
    for (const [name, data] of tensorsOf(linear, update.rank, isDora, tensors))
      stored.set(`${wrapper}${moduleName(linear.module)}.${name}`, data);
  }
  if (adapted.size === 0) throw new AdapterError(weightsFile, 'there are no LoRA tensors to write.');
  for (const path of tensors.keys()) {
    const [, linear = ''] = /^(.+)\.lora\.(?:a|b|magnitude)$/.exec(path) ?? [];
    if (!updates.has(linear))
      throw new AdapterError(weightsFile, `${path} is no LoRA tensor of a linear that has an update.`);
  }

  const saved = new Set<string>();
  for (const [path, data] of params) {
    for (const { module, kind } of placesOfParam(path, options)) {
      saved.add(module);
      stored.set(`${wrapper}${module}.${kind}`, data);
    }
  }

  const groups = new ModuleGroups(linears, adapted, moduleName, hasOneTower);
  const common = mostCommon([...adapted.values()]);
  const description = {
    peft_type: 'LORA',
    task_type: model.embedding === undefined ? 'CAUSAL_LM' : 'FEATURE_EXTRACTION',
    base_model_name_or_path: options.baseModel ?? null,
    r: common.rank,
    lora_alpha: common.alpha,
    lora_dropout: options.dropout ?? 0,
    use_rslora: options.rslora ?? false,
    use_dora: isDora,
    target_modules: groups.targets(),
    modules_to_save: saved.size === 0 ? null : [...saved].sort(),
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
    layers_pattern: null,
    layers_to_transform: null,
    ...groups.patterns(common),
    revision: null,
  };
  return {
    'adapter_config.json': new TextEncoder().encode(`${JSON.stringify(description, null, 2)}\n`),
    'adapter_model.safetensors': encodeSafetensors(stored, {
      format: 'pt',
      ...(baseWeights && { [baseWeightsKey]: encodeBaseWeights(baseWeights) }),
    }),
  };
}

/** A linear's tensors by the ends of their names. @throws AdapterError where one is missing or of another size */
function tensorsOf(
  { path, inSize, outSize }: LinearModule,
  rank: number,
  isDora: boolean,
  tensors: ReadonlyMap<string, Float32Array>,
): [string, TensorData][] {
  const shapes = { a: [rank, inSize], b: [outSize, rank], ...(isDora && { magnitude: [outSize] }) };
  return Object.entries(shapes).map(([kind, shape]) => {
    const values = tensors.get(`${path}.lora.${kind}`);
    if (values === undefined)
      throw new AdapterError(weightsFile, `there is no ${path}.lora.${kind} beside the rest of this LoRA.`);
    const size = shape.reduce((product, length) => product * length, 1);
    if (values.length !== size)
      throw new AdapterError(
        weightsFile,
        `${path}.lora.${kind} has ${values.length} values, but [${shape.join(', ')}] is expected.`,
      );
    return [suffixes[kind as keyof typeof suffixes], { dtype: 'f32', shape, bytes: encodeFloats(values, 'f32') }];
  });
}

/** The modules, by their full names, that have a parameter, and as what. @throws AdapterError for none of the model's */
function placesOfParam(
  path: string,
  { model, baseConfig, splitsEmbedding = false }: PeftAdapterOptions,
): { readonly module: string; readonly kind: string }[] {
  const { moduleName } = pythonClassOf(model, baseConfig);
  const head = { module: hfLayout(model).tiedCopy.replace(/\.weight$/, ''), kind: 'weight' };
  if (path === model.headPath) return [head];
  const name = paramNames(model).get(path);
  if (name === undefined) throw new AdapterError(weightsFile, `${path} is no parameter of this model.`);
  const at = name.lastIndexOf('.');
  const own = { module: moduleName(name.slice(0, at)), kind: name.slice(at + 1) };
  const isHeadToo = path === model.embeddingPath && !splitsEmbedding && model.embedding === undefined;
  return isHeadToo ? [own, head] : [own];
}

/** What most of the updates are. */
function mostCommon<T extends Pick<LoraUpdate, 'rank' | 'alpha'>>(updates: readonly T[]): T {
  const counts = new Map<string, { count: number; update: T }>();
  for (const update of updates) {
    const found = counts.get(keyOf(update)) ?? { count: 0, update };
    counts.set(keyOf(update), { ...found, count: found.count + 1 });
  }
  return [...counts.values()].reduce((most, each) => (each.count > most.count ? each : most)).update;
}

const keyOf = ({ rank, alpha }: Pick<LoraUpdate, 'rank' | 'alpha'>) => `${rank} ${alpha}`;

/**
 * Adapted modules by their last names. A short name means the module in every layer, and of a vision tower too; full names mean just what
 * was trained.
 */
class ModuleGroups {
  readonly #groups = new Map<string, LinearModule[]>();
  readonly #adapted: ReadonlyMap<LinearModule, Pick<LoraUpdate, 'rank' | 'alpha'>>;
  readonly #fullName: (module: string) => string;
  readonly #hasOneTower: boolean;
  /** Whether every linear of such a name has an update. */
  readonly #isWhole: (lastName: string) => boolean;

  constructor(
    linears: ReadonlyMap<string, LinearModule>,
    adapted: ReadonlyMap<LinearModule, Pick<LoraUpdate, 'rank' | 'alpha'>>,
    fullName: (module: string) => string,
    hasOneTower: boolean,
  ) {
    this.#adapted = adapted;
    this.#fullName = fullName;
    this.#hasOneTower = hasOneTower;
    for (const linear of adapted.keys()) {
      const name = lastNameOf(linear);
      this.#groups.set(name, [...(this.#groups.get(name) ?? []), linear]);
    }
    this.#isWhole = (name) => [...linears.values()].every((each) => adapted.has(each) || lastNameOf(each) !== name);
  }

  targets(): string[] {
    const isShort = this.#hasOneTower && [...this.#groups.keys()].every(this.#isWhole);
    const names = isShort
      ? [...this.#groups.keys()]
      : [...this.#adapted.keys()].map(({ module }) => this.#fullName(module));
    return names.sort();
  }

  /**
   * Modules whose rank or alpha is another than most have. Each is in both, by a name that begins below the root: earlier versions of PEFT
   * look both up by the first key that fits, and want something before it.
   */
  patterns(common: Pick<LoraUpdate, 'rank' | 'alpha'>): {
    readonly rank_pattern: Record<string, number>;
    readonly alpha_pattern: Record<string, number>;
  } {
    const [ranks, alphas]: [Record<string, number>, Record<string, number>] = [{}, {}];
    for (const [lastName, group] of this.#groups) {
      const updates = group.map((linear) => this.#adapted.get(linear)!);
      const isAlike = this.#hasOneTower && new Set(updates.map(keyOf)).size === 1;
      for (const [i, update] of updates.entries()) {
        if (keyOf(update) === keyOf(common)) continue;
        const name = isAlike ? lastName : this.#fullName(group[i]!.module).replace(/^[^.]+\./, '');
        ranks[name] = update.rank;
        alphas[name] = update.alpha;
      }
    }
    return { rank_pattern: ranks, alpha_pattern: alphas };
  }
}

const lastNameOf = ({ module }: LinearModule) => module.slice(module.lastIndexOf('.') + 1);
