import { type Layout, linearOf, type Model, withoutPrefixes } from '@lapidary/gemma/model';
import { AdapterError } from '../errors.js';
import { placesOf } from '../layout/places.js';

/** A linear layer of the model that LoRA can be put beside. */
export interface LinearModule {
  /** `layers.0.attn.qProj` */
  readonly path: string;
  /** In Hugging Face's files, without prefix: `layers.0.self_attn.q_proj`. */
  readonly module: string;
  /** In the Python class: `model.layers.0.self_attn.q_proj`. */
  readonly fullName: string;
  readonly outSize: number;
  readonly inSize: number;
}

/** How Hugging Face's files hold a model. @throws AdapterError where there are none */
export function hfLayout({ layouts, title }: Model): Layout {
  if (layouts.safetensors === undefined)
    throw new AdapterError('adapter_config.json', `Hugging Face has no form of a ${title}.`);
  return layouts.safetensors;
}

/** Every linear of the model by path. @throws AdapterError */
export function linearModules(model: Model): Map<string, LinearModule> {
  const layout = hfLayout(model);
  const modules = new Map<string, LinearModule>();
  for (const spec of model.params) {
    const name = placesOf(layout, spec)[0]?.name;
    if (spec.role !== 'linear' || name === undefined) continue;
    const [outSize, inSize] = spec.shape as [number, number];
    const path = linearOf(spec);
    const module = name.slice(0, -'.weight'.length);
    modules.set(path, { path, module, fullName: layout.moduleName(module), outSize, inSize });
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
