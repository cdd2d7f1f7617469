import type { Layout, LayoutRule } from '../layout.js';
import { isMultimodal, isWrapped } from './multimodal.js';
import type { GemmaTraits } from './generations.js';

const layer = 'layers.{i}';

/** Hugging Face's names of a decoder's parameters, of every transformers generation; norm weights are raw, nothing is transposed. */
export function huggingFaceRules({ hasPostNorms, hasQkNorm }: GemmaTraits): LayoutRule[] {
  const rule = (path: string, name: string): LayoutRule => ({
    path: `${layer}.${path}.weight`,
    name: `${layer}.${name}.weight`,
  });
  return [
    { path: 'embedTokens.weight', name: 'embed_tokens.weight' },
    rule('inputNorm', 'input_layernorm'),
    rule('attn.qProj', 'self_attn.q_proj'),
    rule('attn.kProj', 'self_attn.k_proj'),
    rule('attn.vProj', 'self_attn.v_proj'),
    rule('attn.oProj', 'self_attn.o_proj'),
    ...(hasQkNorm ? [rule('attn.qNorm', 'self_attn.q_norm'), rule('attn.kNorm', 'self_attn.k_norm')] : []),
    // One name, two places: before the MLP where there is no norm after attention, which has it elsewhere.
    ...(hasPostNorms
      ? [
          rule('postAttnNorm', 'post_attention_layernorm'),
          rule('preMlpNorm', 'pre_feedforward_layernorm'),
          rule('postMlpNorm', 'post_feedforward_layernorm'),
        ]
      : [rule('preMlpNorm', 'post_attention_layernorm')]),
    rule('mlp.gateProj', 'mlp.gate_proj'),
    rule('mlp.upProj', 'mlp.up_proj'),
    rule('mlp.downProj', 'mlp.down_proj'),
    { path: 'finalNorm.weight', name: 'norm.weight' },
  ];
}

/** Parts of a multimodal Gemma 3 that are not the text model. */
const otherTowers = String.raw`^(vision_tower|multi_modal_projector)\.`;

/** A text model of so many layers in Hugging Face's files, of every era; of a multimodal Gemma 3, the text part. */
export function huggingFaceLayout(traits: GemmaTraits, numLayers: number): Layout {
  return {
    id: 'hugging-face',
    // As the files on the hub have it.
    exportName: (name, base) =>
      base && isMultimodal(traits, numLayers, base) ? `language_model.model.${name}` : `model.${name}`,
    pythonClass: (base) => {
      const hasOtherModules = isMultimodal(traits, numLayers, base);
      // Since transformers 4.52.
      const prefix = (isWrapped(traits, base) ? 'model.' : '') + (hasOtherModules ? 'model.language_model.' : 'model.');
      return { moduleName: (name) => prefix + name, hasOtherModules };
    },
    prefixes: [
      ['base_model.model.', ''],
      ['model.', ''],
      ['model.', ''],
      ['language_model.', ''],
      ['model.', ''],
    ],
    tiedCopy: 'lm_head.weight',
    ignored: new RegExp(String.raw`${otherTowers}|\.rotary_emb\.inv_freq$|^rotary_emb\.`),
    passedOn: new RegExp(otherTowers),
    rules: huggingFaceRules(traits),
  };
}

/** llama.cpp's names. Source: https://github.com/ggml-org/llama.cpp, `gguf-py/gguf/tensor_mapping.py`. */
export function ggufLayout({ hasPostNorms, hasQkNorm }: GemmaTraits): Layout {
  const linear = (path: string, name: string): LayoutRule => ({
    path: `${layer}.${path}.weight`,
    name: `blk.{i}.${name}.weight`,
  });
  // llama.cpp's converter stores 1 + w, ready to multiply with.
  const norm = (path: string, name: string): LayoutRule => ({ ...linear(path, name), offset: -1 });
  return {
    id: 'gguf',
    exportName: (name) => name,
    prefixes: [],
    tiedCopy: 'output.weight',
    ignored: /^(rope_freqs\.weight|v\.|mm\.)/,
    rules: [
      { path: 'embedTokens.weight', name: 'token_embd.weight' },
      norm('inputNorm', 'attn_norm'),
      linear('attn.qProj', 'attn_q'),
      linear('attn.kProj', 'attn_k'),
      linear('attn.vProj', 'attn_v'),
      linear('attn.oProj', 'attn_output'),
      ...(hasQkNorm ? [norm('attn.qNorm', 'attn_q_norm'), norm('attn.kNorm', 'attn_k_norm')] : []),
      norm('preMlpNorm', 'ffn_norm'),
      ...(hasPostNorms ? [norm('postAttnNorm', 'post_attention_norm'), norm('postMlpNorm', 'post_ffw_norm')] : []),
      linear('mlp.gateProj', 'ffn_gate'),
      linear('mlp.upProj', 'ffn_up'),
      linear('mlp.downProj', 'ffn_down'),
      { path: 'finalNorm.weight', name: 'output_norm.weight', offset: -1 },
    ],
  };
}
