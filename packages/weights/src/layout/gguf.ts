import type { Layout } from './layout.js';

const later = ['gemma2', 'gemma3'] as const;
/** llama.cpp's converter stores 1 + w, ready to multiply with. */
const onePlus = { offset: -1 } as const;

/** llama.cpp's names. Source: https://github.com/ggml-org/llama.cpp, `gguf-py/gguf/tensor_mapping.py`. */
export const ggufLayout: Layout = {
  id: 'gguf',
  exportName: (name) => name,
  prefixes: [],
  tiedCopy: 'output.weight',
  ignored: /^(rope_freqs\.weight|v\.|mm\.)/,
  rules: [
    { path: 'embedTokens.weight', name: 'token_embd.weight' },
    { path: 'layers.{i}.inputNorm.weight', name: 'blk.{i}.attn_norm.weight', ...onePlus },
    { path: 'layers.{i}.attn.qProj.weight', name: 'blk.{i}.attn_q.weight' },
    { path: 'layers.{i}.attn.kProj.weight', name: 'blk.{i}.attn_k.weight' },
    { path: 'layers.{i}.attn.vProj.weight', name: 'blk.{i}.attn_v.weight' },
    { path: 'layers.{i}.attn.oProj.weight', name: 'blk.{i}.attn_output.weight' },
    { path: 'layers.{i}.attn.qNorm.weight', name: 'blk.{i}.attn_q_norm.weight', families: ['gemma3'], ...onePlus },
    { path: 'layers.{i}.attn.kNorm.weight', name: 'blk.{i}.attn_k_norm.weight', families: ['gemma3'], ...onePlus },
    { path: 'layers.{i}.postAttnNorm.weight', name: 'blk.{i}.post_attention_norm.weight', families: later, ...onePlus },
    { path: 'layers.{i}.preMlpNorm.weight', name: 'blk.{i}.ffn_norm.weight', ...onePlus },
    { path: 'layers.{i}.postMlpNorm.weight', name: 'blk.{i}.post_ffw_norm.weight', families: later, ...onePlus },
    { path: 'layers.{i}.mlp.gateProj.weight', name: 'blk.{i}.ffn_gate.weight' },
    { path: 'layers.{i}.mlp.upProj.weight', name: 'blk.{i}.ffn_up.weight' },
    { path: 'layers.{i}.mlp.downProj.weight', name: 'blk.{i}.ffn_down.weight' },
    { path: 'finalNorm.weight', name: 'output_norm.weight', ...onePlus },
  ],
};
