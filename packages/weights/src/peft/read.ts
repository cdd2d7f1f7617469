import type { Model } from '@lapidary/gemma';
import { dequantise } from '../dtype/dequantise.js';
import { dtypeOf } from '../dtype/names.js';
import { AdapterError, WeightDTypeError } from '../errors.js';
import { readJson } from '../loader/open-container.js';
import { openSafetensors } from '../safetensors/read.js';
import { type ModelLocation, type ModelSourceOptions, openModelSource } from '../source/model-source.js';
import { linearModules, findModule } from './modules.js';

/** A LoRA adapter that was read. */
export interface PeftAdapter {
  readonly rank: number;
  readonly alpha: number;
  readonly rslora: boolean;
  readonly dropout: number;
  /** Hugging Face module names that have tensors, sorted. */
  readonly targets: readonly string[];
  /** `layers.0.attn.qProj.lora.a` → f32, as `peftAdapterFiles` takes them. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly baseModel: string | undefined;
}

const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';
/** PEFT's own defaults. */
const defaultRank = 8;
const defaultAlpha = 8;

/**
 * A LoRA adapter that PEFT wrote for this model, names of any transformers generation.
 * @throws AdapterError for what is not plain LoRA on linears, and for shapes that are not this model's; WeightDTypeError,
 * WeightFileError, WeightSourceError for files that cannot be read.
 */
export async function readPeftAdapter(
  from: ModelLocation,
  options: ModelSourceOptions & { readonly model: Model },
): Promise<PeftAdapter> {
  const { model, ...sourceOptions } = options;
  const files = await openModelSource(from, sourceOptions);
  try {
    const json = await readJson(files, configFile);
    if (json === undefined) throw new AdapterError(files.name, `there is no ${configFile}.`);
    const description = readDescription(json);
    const source = await files.open(weightsFile);
    if (source === undefined) throw new AdapterError(files.name, `there is no ${weightsFile}.`);

    const linears = linearModules(model);
    const tensors = new Map<string, Float32Array>();
    const targets = new Set<string>();
    for (const [name, stored] of (await openSafetensors(source, options.signal)).tensors) {
      const fail = (problem: string): never => {
        throw new AdapterError(weightsFile, `tensor ${name}: ${problem}`);
      };
      const [, module = '', side] = /^(.+)\.lora_([AB])(?:\.default)?\.weight$/.exec(name) ?? [];
      const linear = findModule(model, linears, module);
      if (linear === undefined) return fail('is no LoRA tensor of a linear of this model.');
      const { rank } = description;
      const shape = side === 'A' ? [rank, linear.inSize] : [linear.outSize, rank];
      if (stored.shape.join() !== shape.join()) {
        fail(`shape [${stored.shape.join(', ')}], but rank ${rank} on this model takes [${shape.join(', ')}].`);
      }
      const dtype = dtypeOf(stored.type);
      if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') {
        throw new WeightDTypeError(
          { file: weightsFile, tensor: name, dtype: stored.type },
          `is stored as ${stored.type}, no float.`,
        );
      }
      const path = `${linear.path}.lora.${side === 'A' ? 'a' : 'b'}`;
      if (tensors.has(path)) fail(`${path} is there twice.`);
      tensors.set(path, dequantise(dtype, await source.read(stored.offset, stored.byteLength, options.signal)));
      targets.add(linear.module.split('.').pop() as string);
    }
    for (const path of tensors.keys()) {
      const other = path.endsWith('.a') ? path.replace(/a$/, 'b') : path.replace(/b$/, 'a');
      if (!tensors.has(other)) throw new AdapterError(weightsFile, `${path} is there without ${other}.`);
    }
    if (tensors.size === 0) throw new AdapterError(weightsFile, 'holds no tensors.');
    return { ...description, targets: [...targets].sort(), tensors };
  } finally {
    await files.close();
  }
}

function readDescription(json: Record<string, unknown>) {
  const fail = (problem: string): never => {
    throw new AdapterError(configFile, problem);
  };
  const number = (field: string, fallback: number): number => {
    const value = json[field] ?? fallback;
    return typeof value === 'number' && Number.isFinite(value) ? value : fail(`${field} is not a number.`);
  };
  if (json['peft_type'] !== 'LORA') fail(`peft_type is ${JSON.stringify(json['peft_type'])}; only LORA is supported.`);
  if (json['use_dora'] === true) fail('use_dora is true; DoRA is not supported.');
  if ((json['bias'] ?? 'none') !== 'none') fail('bias is trained, which is not supported.');
  if (json['fan_in_fan_out'] === true) fail('fan_in_fan_out is true, which is not supported.');
  for (const field of ['rank_pattern', 'alpha_pattern', 'modules_to_save']) {
    if (Object.keys(json[field] ?? {}).length > 0) fail(`${field} is set, which is not supported.`);
  }
  const rank = number('r', defaultRank);
  if (!Number.isInteger(rank) || rank < 1) fail(`r is ${rank}, not a positive integer.`);
  const base = json['base_model_name_or_path'];
  return {
    rank,
    alpha: number('lora_alpha', defaultAlpha),
    rslora: json['use_rslora'] === true,
    dropout: number('lora_dropout', 0),
    baseModel: typeof base === 'string' ? base : undefined,
  };
}
