import { type GemmaConfig, gemmaParamSpecs } from '@lapidary/gemma';
import { huggingFaceLayout } from '../layout/hugging-face.js';
import { matchName, nameOf } from '../layout/layout.js';

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

/** Every linear of the model by path. */
export function linearModules(config: GemmaConfig): Map<string, LinearModule> {
  const modules = new Map<string, LinearModule>();
  for (const [param, { shape }] of gemmaParamSpecs(config)) {
    const [outSize, inSize] = shape;
    const name = nameOf(huggingFaceLayout, config.family, param)?.name;
    if (outSize === undefined || inSize === undefined || name === undefined || param === 'embedTokens.weight') continue;
    const path = param.slice(0, -weight.length);
    modules.set(path, { path, module: name.slice(0, -weight.length), outSize, inSize });
  }
  return modules;
}

/** The path of a module by its name of any era; undefined where it is no linear of the text model. */
export function modulePath(config: GemmaConfig, module: string): string | undefined {
  const match = matchName(huggingFaceLayout, config.family, module + weight);
  return match.kind === 'parameter' ? match.path.slice(0, -weight.length) : undefined;
}
