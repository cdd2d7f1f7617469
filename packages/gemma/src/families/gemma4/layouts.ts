import type { Layout, LayoutRule } from '../layout.js';
import { type Gemma4Config, gemma4Layers, hasPerLayerTable } from './config.js';
import { ropeFrequencyFactors } from './gguf.js';
import { isPartOf } from './hf.js';
import { perLayerTablePath } from './params.js';

const layer = 'layers.{i}';

/** Parts of a larger Gemma 4 that are not the text model: towers of pictures and sounds, and what lies between. */
export const otherParts = String.raw`^(vision_tower|audio_tower|vision_embedder|embed_vision|embed_audio)\.`;

/** Numbers of the layers that attend to what others have computed. */
function sharingLayers(config: Gemma4Config): number[] {
  return gemma4Layers(config).flatMap(({ kvFrom }, i) => (kvFrom === i ? [] : [i]));
}

/**
 * Hugging Face's names; norm weights are used as they are, nothing is transposed. The hub's files still hold projections of keys and values
 * of layers that share those of others: no release uses them (huggingface/transformers#45312).
 */
export function huggingFaceLayout(config: Gemma4Config): Layout {
  const rule = (path: string, name: string): LayoutRule => ({
    path: `${layer}.${path}.weight`,
    name: `${layer}.${name}.weight`,
  });
  const dead = deadNames(config, (i) => String.raw`layers\.${i}\.self_attn\.(k_proj|v_proj|k_norm)\.`);
  return {
    id: 'hugging-face',
    exportName: (name, base) => `${isPartOf(base) ? 'model.language_model.' : 'model.'}${name}`,
    pythonClass: (base) => {
      const hasOtherModules = isPartOf(base);
      return {
        moduleName: (name) => `${hasOtherModules ? 'model.language_model.' : 'model.'}${name}`,
        hasOtherModules,
      };
    },
    prefixes: [
      ['base_model.model.', ''],
      ['model.', ''],
      ['language_model.', ''],
      ['model.', ''],
    ],
    tiedCopy: 'lm_head.weight',
    ignored: new RegExp([otherParts, ...dead, String.raw`(^|\.)rotary_emb\.`].join('|')),
    passedOn: new RegExp(otherParts),
    rules: rulesOf(config, [
      { path: 'embedTokens.weight', name: 'embed_tokens.weight' },
      { path: perLayerTablePath, name: 'embed_tokens_per_layer.weight' },
      { path: 'perLayerInputs.perLayerModelProjection.weight', name: 'per_layer_model_projection.weight' },
      { path: 'perLayerInputs.norm.weight', name: 'per_layer_projection_norm.weight' },
      rule('inputNorm', 'input_layernorm'),
      rule('attn.qProj', 'self_attn.q_proj'),
      rule('attn.qNorm', 'self_attn.q_norm'),
      rule('attn.kProj', 'self_attn.k_proj'),
      rule('attn.kNorm', 'self_attn.k_norm'),
      rule('attn.vProj', 'self_attn.v_proj'),
      rule('attn.oProj', 'self_attn.o_proj'),
      rule('postAttnNorm', 'post_attention_layernorm'),
      rule('preMlpNorm', 'pre_feedforward_layernorm'),
      rule('mlp.gateProj', 'mlp.gate_proj'),
      rule('mlp.upProj', 'mlp.up_proj'),
      rule('mlp.downProj', 'mlp.down_proj'),
      rule('postMlpNorm', 'post_feedforward_layernorm'),
      rule('perLayerInput.perLayerInputGate', 'per_layer_input_gate'),
      rule('perLayerInput.perLayerProjection', 'per_layer_projection'),
      rule('perLayerInput.postNorm', 'post_per_layer_input_norm'),
      { path: `${layer}.layerScalar`, name: `${layer}.layer_scalar` },
      { path: 'finalNorm.weight', name: 'norm.weight' },
    ]),
  };
}

/** llama.cpp's names. Source: https://github.com/ggml-org/llama.cpp, `gguf-py/gguf/tensor_mapping.py`. */
export function ggufLayout(config: Gemma4Config): Layout {
  const rule = (path: string, name: string): LayoutRule => ({
    path: `${layer}.${path}.weight`,
    name: `blk.{i}.${name}.weight`,
  });
  const dead = deadNames(config, (i) => String.raw`blk\.${i}\.attn_(k|v|k_norm)\.`);
  return {
    id: 'gguf',
    exportName: (name) => name,
    prefixes: [],
    tiedCopy: 'output.weight',
    ignored: new RegExp([String.raw`^(v\.|a\.|mm\.)`, ...dead].join('|')),
    constants: { 'rope_freqs.weight': ropeFrequencyFactors(config) },
    rules: rulesOf(config, [
      { path: 'embedTokens.weight', name: 'token_embd.weight' },
      { path: perLayerTablePath, name: 'per_layer_token_embd.weight' },
      {
        path: 'perLayerInputs.perLayerModelProjection.weight',
        name: 'per_layer_model_proj.weight',
        takesNoAdapter: true,
      },
      { path: 'perLayerInputs.norm.weight', name: 'per_layer_proj_norm.weight' },
      rule('inputNorm', 'attn_norm'),
      rule('attn.qProj', 'attn_q'),
      rule('attn.qNorm', 'attn_q_norm'),
      rule('attn.kProj', 'attn_k'),
      rule('attn.kNorm', 'attn_k_norm'),
      rule('attn.vProj', 'attn_v'),
      rule('attn.oProj', 'attn_output'),
      rule('postAttnNorm', 'post_attention_norm'),
      rule('preMlpNorm', 'ffn_norm'),
      rule('mlp.gateProj', 'ffn_gate'),
      rule('mlp.upProj', 'ffn_up'),
      rule('mlp.downProj', 'ffn_down'),
      rule('postMlpNorm', 'post_ffw_norm'),
      rule('perLayerInput.perLayerInputGate', 'inp_gate'),
      rule('perLayerInput.perLayerProjection', 'proj'),
      rule('perLayerInput.postNorm', 'post_norm'),
      { path: `${layer}.layerScalar`, name: 'blk.{i}.layer_output_scale.weight' },
      { path: 'finalNorm.weight', name: 'output_norm.weight' },
    ]),
  };
}

/** Those that this model has parameters for: layers may have no inputs of their own, or none of a table. */
function rulesOf(config: Gemma4Config, rules: readonly LayoutRule[]): LayoutRule[] {
  return rules.filter(({ path }) =>
    path === perLayerTablePath
      ? hasPerLayerTable(config)
      : config.hiddenSizePerLayerInput > 0 || !path.includes('perLayer'),
  );
}

/** Patterns of names that files hold for layers which do without. */
function deadNames(config: Gemma4Config, nameOf: (layers: string) => string): string[] {
  const layers = sharingLayers(config);
  return layers.length === 0 ? [] : [`^${nameOf(`(${layers.join('|')})`)}`];
}
