import { gemmaParamSpecs, type ParamSpec } from './gemma-param-specs.js';
import type { PaliGemmaConfig } from './paligemma.js';
import { patchCount } from './siglip.js';

/** Every parameter of the model by path (`vision.layers.0.attn.qProj.weight`), in the order a forward pass meets them. */
export function paliGemmaParamSpecs(config: PaliGemmaConfig): Map<string, ParamSpec> {
  const { vision, text } = config;
  const { hiddenSize: w, intermediateSize: f, patchSize: p } = vision;
  const specs = new Map<string, ParamSpec>();
  const add = (path: string, ...shape: number[]) => {
    specs.set(`${path}.weight`, { shape });
    specs.set(`${path}.bias`, { shape: [shape[0]!] });
  };

  add('vision.patchEmbed', w, 3, p, p);
  specs.set('vision.posEmbed.weight', { shape: [patchCount(vision), w] });
  for (let i = 0; i < vision.numLayers; i++) {
    const layer = `vision.layers.${i}`;
    add(`${layer}.norm1`, w);
    for (const name of ['qProj', 'kProj', 'vProj', 'outProj']) add(`${layer}.attn.${name}`, w, w);
    add(`${layer}.norm2`, w);
    add(`${layer}.mlp.fc1`, f, w);
    add(`${layer}.mlp.fc2`, w, f);
  }
  add('vision.finalNorm', w);
  add('projector', text.hiddenSize, w);
  for (const [path, spec] of gemmaParamSpecs(text)) specs.set(`language.${path}`, spec);
  return specs;
}
