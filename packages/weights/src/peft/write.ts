import type { HfConfig, Model } from '@lapidary/gemma';
import { encodeFloats } from '../dtype/convert.js';
import { AdapterError } from '../errors.js';
import { safetensorsToBytes, type TensorData } from '../safetensors/write.js';
import { type LinearModule, linearModules, pythonClassOf } from './modules.js';

/** What an adapter's files say. */
export interface PeftAdapterOptions {
  /** The base model. */
  readonly model: Model;
  readonly rank: number;
  readonly alpha: number;
  /** Scale alpha / √rank instead of alpha / rank. Default false. */
  readonly rslora?: boolean;
  readonly dropout?: number;
  /** `layers.0.attn.qProj.lora.a` [rank, in] and `.lora.b` [out, rank], f32. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  /** Where PEFT finds the base: a hub id or folder. */
  readonly baseModel?: string;
  /** The base's config.json: it says which class Python opens, and so the names of modules. Default: as the model is published. */
  readonly baseConfig?: HfConfig;
}

/** An adapter's files by name. */
export type PeftFiles = Record<'adapter_config.json' | 'adapter_model.safetensors', Uint8Array>;

const weightsFile = 'adapter_model.safetensors';

/** The two files of a LoRA adapter as Hugging Face PEFT loads it. @throws {AdapterError} naming what does not fit. */
export async function peftAdapterFiles(options: PeftAdapterOptions): Promise<PeftFiles> {
  const { model, rank, tensors, baseConfig } = options;
  const linears = linearModules(model);
  const { moduleName, hasOtherModules } = pythonClassOf(model, baseConfig);
  const fullName = ({ module }: LinearModule) => moduleName(module);
  const stored = new Map<string, TensorData>();
  const adapted = new Set<LinearModule>();
  for (const [path, values] of tensors) {
    const [, linearPath = '', side] = /^(.+)\.lora\.([ab])$/.exec(path) ?? [];
    const linear = linears.get(linearPath);
    if (linear === undefined)
      throw new AdapterError(weightsFile, `${path} is no LoRA tensor of a linear of this model.`);
    if (!tensors.has(`${linearPath}.lora.${side === 'a' ? 'b' : 'a'}`)) {
      throw new AdapterError(weightsFile, `${path} is there without its other half.`);
    }
    const shape = side === 'a' ? [rank, linear.inSize] : [linear.outSize, rank];
    if (values.length !== shape[0]! * shape[1]!) {
      throw new AdapterError(
        weightsFile,
        `${path} has ${values.length} values, but [${shape.join(', ')}] is expected.`,
      );
    }
    const name = `base_model.model.${fullName(linear)}.lora_${side === 'a' ? 'A' : 'B'}.weight`;
    stored.set(name, { dtype: 'f32', shape, bytes: encodeFloats(values, 'f32') });
    adapted.add(linear);
  }
  if (adapted.size === 0) throw new AdapterError(weightsFile, 'there are no LoRA tensors to write.');

  const lastName = ({ module }: LinearModule) => module.split('.').pop() as string;
  const found = new Set([...adapted].map(lastName));
  const everywhere = [...linears.values()].every((linear) => adapted.has(linear) || !found.has(lastName(linear)));
  const hasOneTower = new Set(model.params.map(({ tower }) => tower)).size === 1;
  // A short name means the module in every layer, and of a vision tower too; full names mean just what was trained.
  const targetModules = everywhere && hasOneTower && !hasOtherModules ? [...found] : [...adapted].map(fullName);

  const description = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: options.baseModel ?? null,
    r: rank,
    lora_alpha: options.alpha,
    lora_dropout: options.dropout ?? 0,
    use_rslora: options.rslora ?? false,
    use_dora: false,
    target_modules: targetModules.sort(),
    modules_to_save: null,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
    layers_pattern: null,
    layers_to_transform: null,
    rank_pattern: {},
    alpha_pattern: {},
    revision: null,
  };
  return {
    'adapter_config.json': new TextEncoder().encode(`${JSON.stringify(description, null, 2)}\n`),
    'adapter_model.safetensors': await safetensorsToBytes(stored, { format: 'pt' }),
  };
}
