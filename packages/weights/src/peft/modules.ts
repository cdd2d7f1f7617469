import { type ModelConfig, modelParamSpecs } from '@lapidary/gemma';
import { huggingFaceLayout } from '../layout/hugging-face.js';
import { placesOf, withoutPrefixes } from '../layout/layout.js';

/** A linear layer of the model that LoRA can be put beside. */
export interface LinearModule {
  /** `layers.0.attn.qProj` */
  readonly path: string;
  /** In Hugging Face's model, without prefix: `layers.0.self_attn.q_proj`. */
  readonly module: string;
  readonly outSize: number;
  readonly inSize: number;
}

const weight = '.weight';
/** Tables, of which PEFT makes another kind of adapter. */
const isTable = /(embedTokens|posEmbed)\.weight$/;

/** Every linear of the model by path. */
export function linearModules(config: ModelConfig): Map<string, LinearModule> {
  const layout = huggingFaceLayout(config);
  const modules = new Map<string, LinearModule>();
  for (const [param, { shape }] of modelParamSpecs(config)) {
    const [outSize, inSize] = shape;
    const name = placesOf(layout, config, param)[0]?.name;
    if (shape.length !== 2 || name === undefined || isTable.test(param)) continue;
    const path = param.slice(0, -weight.length);
    modules.set(path, { path, module: name.slice(0, -weight.length), outSize: outSize!, inSize: inSize! });
  }
  return modules;
}

/** The linear that a module's name of any era means; undefined where it is none of the model. */
export function findModule(
  config: ModelConfig,
  modules: ReadonlyMap<string, LinearModule>,
  name: string,
): LinearModule | undefined {
  const bare = withoutPrefixes(huggingFaceLayout(config), name);
  return [...modules.values()].find(({ module }) => module === bare);
}
