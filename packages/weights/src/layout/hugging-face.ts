import type { ModelConfig } from '@lapidary/gemma';
import type { Layout, LayoutRule } from './layout.js';

const later = ['gemma2', 'gemma3'] as const;

const decoderRules: readonly LayoutRule[] = [
  { path: 'embedTokens.weight', name: 'embed_tokens.weight' },
  { path: 'layers.{i}.inputNorm.weight', name: 'layers.{i}.input_layernorm.weight' },
  { path: 'layers.{i}.attn.qProj.weight', name: 'layers.{i}.self_attn.q_proj.weight' },
  { path: 'layers.{i}.attn.kProj.weight', name: 'layers.{i}.self_attn.k_proj.weight' },
  { path: 'layers.{i}.attn.vProj.weight', name: 'layers.{i}.self_attn.v_proj.weight' },
  { path: 'layers.{i}.attn.oProj.weight', name: 'layers.{i}.self_attn.o_proj.weight' },
  { path: 'layers.{i}.attn.qNorm.weight', name: 'layers.{i}.self_attn.q_norm.weight', families: ['gemma3'] },
  { path: 'layers.{i}.attn.kNorm.weight', name: 'layers.{i}.self_attn.k_norm.weight', families: ['gemma3'] },
  // One name, two places: before the MLP in Gemma 1, after attention in Gemma 2 and 3.
  { path: 'layers.{i}.preMlpNorm.weight', name: 'layers.{i}.post_attention_layernorm.weight', families: ['gemma1'] },
  { path: 'layers.{i}.postAttnNorm.weight', name: 'layers.{i}.post_attention_layernorm.weight', families: later },
  { path: 'layers.{i}.preMlpNorm.weight', name: 'layers.{i}.pre_feedforward_layernorm.weight', families: later },
  { path: 'layers.{i}.postMlpNorm.weight', name: 'layers.{i}.post_feedforward_layernorm.weight', families: later },
  { path: 'layers.{i}.mlp.gateProj.weight', name: 'layers.{i}.mlp.gate_proj.weight' },
  { path: 'layers.{i}.mlp.upProj.weight', name: 'layers.{i}.mlp.up_proj.weight' },
  { path: 'layers.{i}.mlp.downProj.weight', name: 'layers.{i}.mlp.down_proj.weight' },
  { path: 'finalNorm.weight', name: 'norm.weight' },
];

/** Hugging Face's names of every transformers generation; norm weights are raw, nothing is transposed. */
const textLayout: Layout = {
  id: 'hugging-face',
  exportName: (name) => `model.${name}`,
  prefixes: [
    ['base_model.model.', ''],
    ['model.', ''],
    ['language_model.', ''],
    ['model.', ''],
  ],
  tiedCopy: 'lm_head.weight',
  ignored: /^(vision_tower|multi_modal_projector)\.|\.rotary_emb\.inv_freq$|^rotary_emb\./,
  rules: decoderRules,
};

const block = 'vision_tower.encoder.layers.{i}';
const visionRules: readonly LayoutRule[] = [
  ...both('vision.patchEmbed', 'vision_tower.embeddings.patch_embedding'),
  { path: 'vision.posEmbed.weight', name: 'vision_tower.embeddings.position_embedding.weight' },
  ...both('vision.layers.{i}.norm1', `${block}.layer_norm1`),
  ...both('vision.layers.{i}.attn.qProj', `${block}.self_attn.q_proj`),
  ...both('vision.layers.{i}.attn.kProj', `${block}.self_attn.k_proj`),
  ...both('vision.layers.{i}.attn.vProj', `${block}.self_attn.v_proj`),
  ...both('vision.layers.{i}.attn.outProj', `${block}.self_attn.out_proj`),
  ...both('vision.layers.{i}.norm2', `${block}.layer_norm2`),
  ...both('vision.layers.{i}.mlp.fc1', `${block}.mlp.fc1`),
  ...both('vision.layers.{i}.mlp.fc2', `${block}.mlp.fc2`),
  ...both('vision.finalNorm', 'vision_tower.post_layernorm'),
  ...both('projector', 'multi_modal_projector.linear'),
];

function both(path: string, name: string): LayoutRule[] {
  return ['weight', 'bias'].map((part) => ({ path: `${path}.${part}`, name: `${name}.${part}` }));
}

/** PaliGemma's, of every era: `language_model.model.…` on the hub, `model.language_model.…` since transformers 4.52. */
const paliGemmaLayout: Layout = {
  id: 'hugging-face-paligemma',
  // What the files on the hub are called, and what save_pretrained still writes of the decoder.
  exportName: (name) =>
    name.replace(/^language_model\./, 'language_model.model.').replace(/^vision_tower\./, 'vision_tower.vision_model.'),
  prefixes: [
    ['base_model.model.', ''],
    ['model.', ''],
    ['language_model.lm_head.', 'lm_head.'],
    ['language_model.model.', 'language_model.'],
    ['vision_tower.vision_model.', 'vision_tower.'],
  ],
  tiedCopy: 'lm_head.weight',
  ignored: /^vision_tower\.head\.|\.rotary_emb\.inv_freq$|\.position_ids$/,
  rules: [
    ...visionRules,
    ...decoderRules.map((rule) => ({ ...rule, path: `language.${rule.path}`, name: `language_model.${rule.name}` })),
  ],
};

/** How Hugging Face's files hold a model. */
export function huggingFaceLayout(config: ModelConfig): Layout {
  return config.family === 'paligemma' ? paliGemmaLayout : textLayout;
}
