import type { GemmaTraits } from '../gemma/generations.js';
import { huggingFaceRules } from '../gemma/layouts.js';
import type { Layout, LayoutRule } from '../layout.js';
import { both, dense, siglipBigVisionRules, siglipHuggingFaceRules } from '../siglip/layouts.js';
import { decoderPrefix } from './params.js';

/** Hugging Face's, of every era: `language_model.model.…` on the hub, `model.language_model.…` since transformers 4.52. */
export function paliGemmaHuggingFaceLayout(decoder: GemmaTraits): Layout {
  return {
    id: 'hugging-face-paligemma',
    // What the files on the hub are called, and what save_pretrained still writes of the decoder.
    exportName: (name) =>
      name
        .replace(/^language_model\./, 'language_model.model.')
        .replace(/^vision_tower\./, 'vision_tower.vision_model.'),
    // transformers ≥ 4.52 keeps the whole of a multimodal model, names and all, in `model`.
    pythonClass: () => ({ moduleName: (name) => `model.${name}`, hasOtherModules: false }),
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
      ...siglipHuggingFaceRules(),
      ...both('projector', 'multi_modal_projector.linear'),
      ...huggingFaceRules(decoder).map((rule) => ({
        ...rule,
        path: decoderPrefix + rule.path,
        name: `language_model.${rule.name}`,
      })),
    ],
  };
}

const layer = ['layer'] as const;
/** Stored [in, out]. */
const transposed = [1, 0] as const;
const perHead = [0, 2, 1] as const;

/** What big_vision's names begin with, in some of its files. */
export const bigVisionPrefixes = [['params/', '']] as const;

/**
 * big_vision's official files (`pt_224.npz`): the layers of each tower are stacked on the first axis, linears are
 * [in, out] with heads apart, gate and up (and keys and values) lie in one array.
 * Source: https://github.com/google-research/big_vision, `big_vision/models/{vit,ppp/gemma}.py`.
 */
export function bigVisionLayout({ hasPostNorms }: GemmaTraits): Layout {
  return {
    id: 'big-vision',
    exportName: (name) => `params/${name}`,
    prefixes: bigVisionPrefixes,
    tiedCopy: '',
    ignored: /^$/,
    rules: [
      ...siglipBigVisionRules(),
      ...dense('projector', 'img/head', transposed, []),

      { path: 'language.embedTokens.weight', name: 'llm/embedder/input_embedding' },
      norm('inputNorm', 'pre_attention_norm'),
      // [H, d, D] each.
      { ...linear('attn.qProj', 'attn/q_einsum/w', perHead), at: layer },
      { ...linear('attn.kProj', 'attn/kv_einsum/w', perHead), at: ['layer', 0] },
      { ...linear('attn.vProj', 'attn/kv_einsum/w', perHead), at: ['layer', 1] },
      // Where every query head has its own key and value.
      { ...linear('attn.qProj', 'attn/qkv_einsum/w', perHead), at: ['layer', 0] },
      { ...linear('attn.kProj', 'attn/qkv_einsum/w', perHead), at: ['layer', 1] },
      { ...linear('attn.vProj', 'attn/qkv_einsum/w', perHead), at: ['layer', 2] },
      // [H, D, d].
      { ...linear('attn.oProj', 'attn/attn_vec_einsum/w', [2, 0, 1]), at: layer },
      norm('preMlpNorm', 'pre_ffw_norm'),
      ...(hasPostNorms ? [norm('postAttnNorm', 'post_attention_norm'), norm('postMlpNorm', 'post_ffw_norm')] : []),
      { ...linear('mlp.gateProj', 'mlp/gating_einsum', transposed), at: ['layer', 0] },
      { ...linear('mlp.upProj', 'mlp/gating_einsum', transposed), at: ['layer', 1] },
      { ...linear('mlp.downProj', 'mlp/linear', transposed), at: layer },
      { path: 'language.finalNorm.weight', name: 'llm/final_norm/scale' },
    ],
  };
}

function norm(path: string, name: string): LayoutRule {
  return { path: `language.layers.{i}.${path}.weight`, name: `llm/layers/${name}/scale`, at: layer };
}

function linear(path: string, name: string, permute: readonly number[]): LayoutRule {
  return { path: `language.layers.{i}.${path}.weight`, name: `llm/layers/${name}`, permute };
}
