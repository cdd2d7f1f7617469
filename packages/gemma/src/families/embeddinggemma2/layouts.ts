import { huggingFaceLayout, otherParts } from '../gemma4/layouts.js';
import type { HfConfig, Layout } from '../layout.js';
import type { EmbeddingGemma2Config } from './config.js';
import { isTextAlone } from './hf.js';
import { headDense } from './params.js';

/** Gemma 4's names, but what layers are given has modules of its own, and no part of the model is called `model`. */
export function sentenceTransformersLayout({ text }: EmbeddingGemma2Config): Layout {
  const layout = huggingFaceLayout(text);
  const inClass = (name: string, base?: HfConfig) => (isTextAlone(base) ? name : `language_model.${name}`);
  return {
    ...layout,
    id: 'sentence-transformers',
    exportName: inClass,
    pythonClass: (base) => ({ moduleName: (name) => inClass(name, base), hasOtherModules: !isTextAlone(base) }),
    passedOn: new RegExp(otherParts),
    rules: [
      ...layout.rules.map((rule) => ({ ...rule, name: ofModules(rule.name) })),
      { path: `${headDense}.weight`, name: 'embedding_projection.weight' },
    ],
  };
}

function ofModules(name: string): string {
  return name
    .replace(/^per_layer_/, 'ple.per_layer_')
    .replace(/\.(per_layer_input_gate|per_layer_projection|post_per_layer_input_norm)\./, '.ple_block.$1.');
}
