import { huggingFaceLayout } from '../gemma/layouts.js';
import { generations } from '../gemma/generations.js';
import type { Layout } from '../layout.js';
import type { EmbeddingGemmaConfig } from './config.js';
import { denseFolder } from './modules.js';

/** sentence-transformers' folder: the text model at its root under names without a prefix, each linear in a folder of its own. */
export function sentenceTransformersLayout({ text, headSizes }: EmbeddingGemmaConfig): Layout {
  const layout = huggingFaceLayout(generations.gemma3, text.numLayers);
  const folders = headSizes.map((_, i) => denseFolder(i));
  return {
    ...layout,
    id: 'sentence-transformers',
    exportName: (name) => name,
    pythonClass: () => ({ moduleName: (name) => name, hasOtherModules: false }),
    folders,
    rules: [
      ...layout.rules,
      ...folders.map((folder, i) => ({ path: `head.${i}.dense.weight`, name: `${folder}/linear.weight` })),
    ],
  };
}
