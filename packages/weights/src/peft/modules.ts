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

/**
 * Every parameter's name in Hugging Face's files, without prefix, by path: `layers.0.input_layernorm.weight`. Those in folders of their own
 * are none of the class that PEFT wraps, and left out. @throws AdapterError
 */
export function paramNames(model: Model): Map<string, string> {
  const layout = hfLayout(model);
  return new Map(
    model.params.flatMap((spec) => {
      const name = placesOf(layout, spec)[0]?.name;
      return name === undefined || isOutside(layout, name) ? [] : [[spec.path, name] as const];
    }),
  );
}

const isOutside = ({ folders = [] }: Layout, name: string) => folders.some((folder) => name.startsWith(`${folder}/`));

/**
 * Whether an adapter in PEFT's form can hold LoRAs of these linears and these parameters, trained whole.
 * @throws AdapterError for one that lies outside of the class that PEFT wraps, or that PEFT cannot tell from others
 */
export function checkPeftNames(
  model: Model,
  { linears, params }: { readonly linears: Iterable<string>; readonly params: Iterable<string> },
  base?: HfConfig,
): void {
  const names = paramNames(model);
  const saved = [...params];
  const own = new Set(model.params.flatMap((spec) => (names.has(spec.path) ? [spec.path, linearOf(spec)] : [])));
  const known = new Set(model.params.flatMap((spec) => [spec.path, linearOf(spec)]));
  const outside = [...linears, ...saved].find((path) => known.has(path) && !own.has(path));
  if (outside !== undefined)
    throw new AdapterError(
      configFile,
      `${outside} lies outside of the model that PEFT wraps, so no adapter can hold it: leave it out of what is trained beside a LoRA, or train the whole model.`,
    );
  const moduleOf = (path: string) => {
    const name = names.get(path);
    return name && pythonClassOf(model, base).moduleName(name.slice(0, name.lastIndexOf('.')));
  };
  const modules = new Set(saved.flatMap((path) => moduleOf(path) ?? []));
  const others = [...names.keys()].flatMap((path) => moduleOf(path) ?? []).filter((module) => !modules.has(module));
  // It goes by the ends of names.
  for (const module of modules) {
    const alike = others.find((other) => other.endsWith(module));
    if (alike !== undefined)
      throw new AdapterError(
        configFile,
        `${module} cannot be trained whole beside a LoRA of this model: by that name PEFT would take ${alike} for it too. Leave it out, or train all that are called so.`,
      );
  }
}
