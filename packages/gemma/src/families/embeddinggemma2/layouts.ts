import { huggingFaceLayout, otherParts } from '../gemma4/layouts.js';
import type { Layout } from '../layout.js';
import type { EmbeddingGemma2Config } from './config.js';
import { isTextAlone } from './hf.js';
import { headDense } from './params.js';

/** Gemma 4's names, but what layers are given has modules of its own, and no part of the model is called `model`. */
export function sentenceTransformersLayout({ text }: EmbeddingGemma2Config): Layout {
  const layout = huggingFaceLayout(text);
  const amongTowers = (name: string) => `language_model.${name}`;
  return {
    ...layout,
    id: 'sentence-transformers',
    exportName: (name, base) => (base === undefined || isTextAlone(base) ? name : amongTowers(name)),
    pythonClass: (base) =>
      base !== undefined && isTextAlone(base)
        ? { moduleName: (name) => name, hasOtherModules: false }
        : { moduleName: amongTowers, hasOtherModules: true },
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
