import {
  type HfConfig,
  type Layout,
  linearOf,
  type Model,
  type PythonClass,
  withoutPrefixes,
} from '@lapidary/gemma/model';
import { AdapterError } from '../errors.js';
import { placesOf } from '../layout/places.js';
import { configFile } from './adapter-config.js';

/** A linear layer of the model that LoRA can be put beside. */
export interface LinearModule {
  /** `layers.0.attn.qProj` */
  readonly path: string;
  /** In Hugging Face's files, without prefix: `layers.0.self_attn.q_proj`. */
  readonly module: string;
  /** Of its tower. */
  readonly layer: number | undefined;
  readonly outSize: number;
  readonly inSize: number;
}

/** How Hugging Face's files hold a model. @throws AdapterError where there are none */
export function hfLayout({ layouts, title }: Model): Layout {
  if (layouts.safetensors === undefined) throw new AdapterError(configFile, `Hugging Face has no form of a ${title}.`);
  return layouts.safetensors;
}

/** The class that Python opens for a base with this config.json, or as it is published. @throws AdapterError where there is none */
export function pythonClassOf(model: Model, base: HfConfig | undefined): PythonClass {
  const { pythonClass } = hfLayout(model);
  if (pythonClass === undefined) throw new AdapterError(configFile, `Python has no class for a ${model.title}.`);
  return pythonClass(base);
}

/** Every linear of the model by path. @throws AdapterError */
export function linearModules(model: Model): Map<string, LinearModule> {
  const names = paramNames(model);
  const modules = new Map<string, LinearModule>();
  for (const spec of model.params) {
    const name = names.get(spec.path);
    if (spec.role !== 'linear' || name === undefined) continue;
    const [outSize, inSize] = spec.shape as [number, number];
    const path = linearOf(spec);
    modules.set(path, { path, module: name.slice(0, -'.weight'.length), layer: spec.layer, outSize, inSize });
  }
  return modules;
}

/** The linear that a module's name of any era means; undefined where it is none of the model. */
export function findModule(
  model: Model,
  modules: ReadonlyMap<string, LinearModule>,
  name: string,
): LinearModule | undefined {
  const bare = withoutPrefixes(hfLayout(model), name);
  return [...modules.values()].find(({ module }) => module === bare);
}

/** Every parameter's name in Hugging Face's files, without prefix, by path: `layers.0.input_layernorm.weight`. @throws AdapterError */
export function paramNames(model: Model): Map<string, string> {
  const layout = hfLayout(model);
  return new Map(
    model.params.flatMap((spec) => {
      const name = placesOf(layout, spec)[0]?.name;
      return name === undefined ? [] : [[spec.path, name] as const];
    }),
  );
}
