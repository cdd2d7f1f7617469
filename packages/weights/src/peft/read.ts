import { type LoraUpdate, type Model, type ParamSpec, withoutPrefixes } from '@lapidary/gemma/model';
import type { StoredTensor } from '../container.js';
import { dequantise } from '../dtype/dequantise.js';
import { dtypeOf } from '../dtype/names.js';
import { holdsNonFinite } from '../dtype/non-finite.js';
import { AdapterError, WeightDTypeError } from '../errors.js';
import { readJson } from '../loader/open-container.js';
import { openSafetensors } from '../safetensors/read.js';
import { type ModelLocation, type ModelSourceOptions, openModelSource } from '../source/model-source.js';
import { type AdapterConfig, configFile, readAdapterConfig } from './adapter-config.js';
import { type BaseWeights, decodeBaseWeights } from './base-weights.js';
import { isNamed } from './module-patterns.js';
import { findModule, hfLayout, linearModules, type LinearModule, paramNames } from './modules.js';

/** A LoRA adapter that was read. */
export interface PeftAdapter {
  /** By linear: `layers.0.attn.qProj`. */
  readonly updates: ReadonlyMap<string, LoraUpdate>;
  readonly rslora: boolean;
  readonly dropout: number;
  /** Last names of the Hugging Face modules that have updates, sorted. */
  readonly targets: readonly string[];
  /**
   * f32: `layers.0.attn.qProj.lora.a` [rank, in] and `.lora.b` [out, rank], as `peftAdapterFiles` takes them; of a DoRA also
   * `.lora.magnitude` [out].
   */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  /** Parameters of the model that were trained whole, by path, f32; of `Model.headPath` too. */
  readonly params: ReadonlyMap<string, Float32Array>;
  /**
   * The table of words and the output projection are no longer one: what `params` does not hold of `Model.embeddingPath` and
   * `Model.headPath` is the table of the base.
   */
  readonly splitsEmbedding: boolean;
  readonly baseModel: string | undefined;
  /** The weights that it was trained over, where its file says it; PEFT's do not. */
  readonly baseWeights: BaseWeights | undefined;
}

const weightsFile = 'adapter_model.safetensors';
/** PEFT's, before any tensor's name. */
const wrapper = 'base_model.model.';

/** See `readPeftAdapter`. */
export async function readAdapter(
  from: ModelLocation,
  options: ModelSourceOptions & { readonly model: Model },
): Promise<PeftAdapter> {
  const { model, ...sourceOptions } = options;
  const files = await openModelSource(from, sourceOptions);
  try {
    const json = await readJson(files, configFile);
    if (json === undefined) throw new AdapterError(files.name, `there is no ${configFile}.`);
    const config = readAdapterConfig(json);
    const source = await files.open(weightsFile);
    if (source === undefined)
      throw new AdapterError(
        files.name,
        `there is no ${weightsFile}. (An adapter_model.bin holds Python’s objects and is not read: save it as safetensors.)`,
      );
    const found = new FoundTensors(model, config);
    const { tensors, metadata } = await openSafetensors(source, options.signal);
    for (const tensor of tensors.values()) {
      const place = found.take(tensor);
      const dtype = dtypeOf(tensor.type);
      if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') {
        throw new WeightDTypeError(
          { file: weightsFile, tensor: tensor.name, dtype: tensor.type },
          `is stored as ${tensor.type}, no float.`,
        );
      }
      const bytes = await source.read(tensor.offset, tensor.byteLength, options.signal);
      if (holdsNonFinite(dtype, bytes))
        throw new AdapterError(
          weightsFile,
          `tensor ${tensor.name}: holds values that are not finite (NaN or infinity). No model can compute with them.`,
        );
      place.values.set(place.path, dequantise(dtype, bytes));
    }
    return { ...found.finish(), baseWeights: decodeBaseWeights(metadata, weightsFile) };
  } finally {
    await files.close();
  }
}

/** The tensors of an adapter's file, each with its place in the model. */
class FoundTensors {
  readonly #model: Model;
  readonly #config: AdapterConfig;
  readonly #linears: ReadonlyMap<string, LinearModule>;
  /** By names without prefix: `layers.0.input_layernorm.weight`. */
  readonly #params: ReadonlyMap<string, NamedParam>;
  readonly #tensors = new Map<string, Float32Array>();
  readonly #wholes = new Map<string, Float32Array>();
  readonly #updates = new Map<string, LoraUpdate>();
  readonly #targets = new Set<string>();
  /** Names in the file, by path. */
  readonly #names = new Map<string, string>();

  constructor(model: Model, config: AdapterConfig) {
    this.#model = model;
    this.#config = config;
    this.#linears = linearModules(model);
    this.#params = paramsByName(model);
  }

  /** Where a tensor's values go. @throws AdapterError for one that has no place, or another shape than its place */
  take({ name, shape }: StoredTensor): { readonly path: string; readonly values: Map<string, Float32Array> } {
    const fail = (problem: string): never => {
      throw new AdapterError(weightsFile, `tensor ${name}: ${problem}`);
    };
    const [, module, kind] =
      /^(.+)\.lora_(?:([AB])(?:\.default)?\.weight|(magnitude_vector)(?:\.default)?(?:\.weight)?)$/.exec(name) ?? [];
    const isUpdate = module !== undefined;
    const [path, expected, of] = isUpdate
      ? this.#updateOf(module, kind === 'A' ? 'a' : kind === 'B' ? 'b' : 'magnitude', fail)
      : this.#wholeOf(name, fail);
    if (shape.join() !== expected.join())
      fail(`shape [${shape.join(', ')}], but ${of} takes [${expected.join(', ')}].`);
    const before = this.#names.get(path);
    if (before !== undefined) fail(`is the same as ${before}: ${path} is there twice.`);
    this.#names.set(path, name);
    return { path, values: isUpdate ? this.#tensors : this.#wholes };
  }

  #updateOf(module: string, kind: 'a' | 'b' | 'magnitude', fail: (problem: string) => never): Taken {
    const linear = findModule(this.#model, this.#linears, module);
    if (linear === undefined) return fail('is no LoRA tensor of a linear of this model.');
    const { rslora, dora, targets, excluded, layers, ...config } = this.#config;
    const called = module.startsWith(wrapper) ? module.slice(wrapper.length) : module;
    // A module that is named in full is so in whichever layer.
    const isAnyLayer = layers === undefined || ('ends' in targets && targets.ends.includes(called));
    const isAdapted =
      isNamed(targets, called) &&
      !(excluded !== undefined && isNamed(excluded, called)) &&
      (isAnyLayer || (linear.layer !== undefined && layers.includes(linear.layer)));
    if (!isAdapted)
      fail(
        `${configFile} does not name its module, by target_modules, exclude_modules and layers_to_transform: PEFT would leave it out.`,
      );
    if (kind === 'magnitude' && !dora) fail(`is a DoRA’s, but use_dora is false in ${configFile}.`);
    const first = <T>(patterns: readonly (readonly [RegExp, T])[]) =>
      patterns.find(([pattern]) => pattern.test(called))?.[1];
    const rank = first(config.rankPattern) ?? config.rank;
    const alpha = first(config.alphaPattern) ?? config.alpha;
    this.#updates.set(linear.path, { rank, alpha, scale: alpha / (rslora ? Math.sqrt(rank) : rank) });
    this.#targets.add(linear.module.split('.').pop() as string);
    const { inSize, outSize } = linear;
    const shape = kind === 'a' ? [rank, inSize] : kind === 'b' ? [outSize, rank] : [outSize];
    return [`${linear.path}.lora.${kind}`, shape, `rank ${rank} on this model`];
  }

  #wholeOf(name: string, fail: (problem: string) => never): Taken {
    if (/\.lora_embedding_[AB]\b|\.base_layer\./.test(name))
      return fail('a LoRA of the table of words is not supported; train it whole (modules_to_save).');
    const spec = this.#params.get(withoutPrefixes(hfLayout(this.#model), name));
    if (spec === undefined) return fail('belongs to no linear and no parameter of this model.');
    if (spec.isOnHost) return fail('is a table that stays in its file: no adapter can have another in its place.');
    if (!this.#isSaved(name) && !this.#isWords(spec.path))
      fail(`is no LoRA tensor, and modules_to_save in ${configFile} does not name it: PEFT would leave it out.`);
    return [spec.path, spec.shape, `${spec.path} of this model`];
  }

  #isWords(path: string): boolean {
    return path === this.#model.embeddingPath || path === this.#model.headPath;
  }

  /** Whether a parameter was trained whole: some module that it lies in has a name with such an end. */
  #isSaved(name: string): boolean {
    const parts = (name.startsWith(wrapper) ? name.slice(wrapper.length) : name).split('.').slice(0, -1);
    return parts.some((_, i) =>
      this.#config.modulesToSave.some((end) =>
        parts
          .slice(0, i + 1)
          .join('.')
          .endsWith(end),
      ),
    );
  }

  /** @throws AdapterError where something is missing */
  finish(): Omit<PeftAdapter, 'baseWeights'> {
    const { rslora, dora, dropout, baseModel } = this.#config;
    for (const linear of this.#updates.keys())
      for (const kind of dora ? ['a', 'b', 'magnitude'] : ['a', 'b'])
        if (!this.#tensors.has(`${linear}.lora.${kind}`))
          throw new AdapterError(weightsFile, `there is no ${linear}.lora.${kind} beside the rest of this LoRA.`);
    if (this.#names.size === 0) throw new AdapterError(weightsFile, 'holds no tensors.');
    const layout = hfLayout(this.#model);
    for (const [bare, { path }] of this.#params) {
      // In whatever class: a name's end does not tell.
      const isSaved = this.#isSaved(bare) || this.#isSaved(`${layout.exportName(bare)}`);
      if (isSaved && !this.#wholes.has(path) && !(this.#config.tiesEmbedding && this.#isWords(path)))
        throw new AdapterError(weightsFile, `there is no ${path}, though modules_to_save in ${configFile} names it.`);
    }
    return {
      updates: this.#updates,
      rslora,
      dropout,
      targets: [...this.#targets].sort(),
      tensors: this.#tensors,
      ...this.#words(),
      baseModel,
    };
  }

  /** The two ends of the model, which share a table unless one of them was trained apart. */
  #words(): Pick<PeftAdapter, 'params' | 'splitsEmbedding'> {
    const { embeddingPath, headPath = '', embedding } = this.#model;
    const params = new Map(this.#wholes);
    // A model that makes vectors has one end only.
    if (embedding !== undefined) return { params, splitsEmbedding: false };
    const input = params.get(embeddingPath);
    const output = params.get(headPath);
    if (input === undefined && output === undefined) return { params, splitsEmbedding: false };
    const isApart = [embeddingPath, headPath].some((path) => this.#isSaved(this.#names.get(path) ?? ''));
    const isSame = input !== undefined && output !== undefined && input.every((value, i) => value === output[i]);
    if (isApart && !this.#config.tiesEmbedding && !isSame) return { params, splitsEmbedding: true };
    // One table: PEFT loads either into it.
    if (input !== undefined && output !== undefined && !isSame)
      throw new AdapterError(
        weightsFile,
        `${this.#names.get(embeddingPath)} and ${this.#names.get(headPath)} differ, but ${configFile} says that they are one table.`,
      );
    params.delete(headPath);
    params.set(embeddingPath, (input ?? output) as Float32Array);
    return { params, splitsEmbedding: false };
  }
}

/** A tensor's path, the shape that it must have, and whose shape that is. */
type Taken = readonly [path: string, shape: readonly number[], of: string];

type NamedParam = Pick<ParamSpec, 'path' | 'shape' | 'isOnHost'>;

/** Parameters by their names in Hugging Face's files, without prefix. */
function paramsByName(model: Model): Map<string, NamedParam> {
  const names = paramNames(model);
  const byName = new Map<string, NamedParam>();
  for (const spec of model.params) {
    const name = names.get(spec.path);
    if (name !== undefined) byName.set(name, spec);
    if (spec.path === model.embeddingPath && model.headPath !== undefined)
      byName.set(hfLayout(model).tiedCopy, { path: model.headPath, shape: spec.shape });
  }
  return byName;
}
