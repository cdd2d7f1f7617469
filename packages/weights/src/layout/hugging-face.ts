import type { Layout } from './layout.js';

const later = ['gemma2', 'gemma3'] as const;

/** Hugging Face's names of every transformers generation; norm weights are raw, nothing is transposed. */
export const huggingFaceLayout: Layout = {
  id: 'hugging-face',
  exportPrefix: 'model.',
  prefixes: [
    ['base_model.model.', ''],
    ['model.', ''],
    ['language_model.', ''],
    ['model.', ''],
  ],
  tiedCopy: 'lm_head.weight',
  ignored: /^(vision_tower|multi_modal_projector)\.|\.rotary_emb\.inv_freq$|^rotary_emb\./,
  rules: [
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
  ],
};
