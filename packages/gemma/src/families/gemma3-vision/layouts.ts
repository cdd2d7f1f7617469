import type { GemmaTraits } from '../gemma/generations.js';
import { huggingFaceRules } from '../gemma/layouts.js';
import { isWrapped } from '../gemma/multimodal.js';
import type { Layout } from '../layout.js';
import { siglipHuggingFaceRules } from '../siglip/layouts.js';

/**
 * Hugging Face's, of every era: `language_model.model.…` and `vision_tower.vision_model.…` on the hub, `model.language_model.…` since
 * transformers 4.52, `vision_tower.…` in what 5 writes. ShieldGemma 2 is a class around the model, whose names have a `model.` more there.
 */
export function gemma3VisionLayout(text: GemmaTraits): Layout {
  return {
    id: 'hugging-face-gemma3-vision',
    exportName: (name) =>
      name
        .replace(/^language_model\./, 'language_model.model.')
        .replace(/^vision_tower\./, 'vision_tower.vision_model.'),
    pythonClass: (base) => {
      const outer = isWrapped(text, base) ? 'model.model.' : 'model.';
      return { moduleName: (name) => outer + name, hasOtherModules: false };
    },
    prefixes: [
      ['base_model.model.', ''],
      ['model.', ''],
      ['model.', ''],
      ['language_model.lm_head.', 'lm_head.'],
      ['language_model.model.', 'language_model.'],
      ['vision_tower.vision_model.', 'vision_tower.'],
    ],
    tiedCopy: 'lm_head.weight',
    ignored: /^vision_tower\.head\.|\.rotary_emb\.inv_freq$|\.position_ids$/,
    rules: [
      ...siglipHuggingFaceRules(),
      { path: 'projector.norm.weight', name: 'multi_modal_projector.mm_soft_emb_norm.weight' },
      { path: 'projector.weight', name: 'multi_modal_projector.mm_input_projection_weight' },
      ...huggingFaceRules(text).map(({ path, name }) => ({ path, name: `language_model.${name}` })),
    ],
  };
}
