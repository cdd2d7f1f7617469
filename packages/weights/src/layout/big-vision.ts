import type { Layout, LayoutRule } from './layout.js';

const layer = ['layer'] as const;
/** Stored [in, out]. */
const transposed = [1, 0] as const;

const block = 'img/Transformer/encoderblock';
const attention = `${block}/MultiHeadDotProductAttention_0`;

function layerNorm(path: string, name: string, at: readonly 'layer'[] = layer): LayoutRule[] {
  return [
    { path: `${path}.weight`, name: `${name}/scale`, at },
    { path: `${path}.bias`, name: `${name}/bias`, at },
  ];
}

function dense(path: string, name: string, permute: readonly number[], at: readonly 'layer'[] = layer): LayoutRule[] {
  return [
    { path: `${path}.weight`, name: `${name}/kernel`, at, permute },
    { path: `${path}.bias`, name: `${name}/bias`, at },
  ];
}

const perHead = [0, 2, 1] as const;

/**
 * big_vision's official PaliGemma files (`pt_224.npz`): the layers of each tower are stacked on the first axis, linears are
 * [in, out] with heads apart, gate and up (and keys and values) lie in one array.
 * Source: https://github.com/google-research/big_vision, `big_vision/models/{vit,ppp/gemma}.py`.
 */
export const bigVisionLayout: Layout = {
  id: 'big-vision',
  exportName: (name) => `params/${name}`,
  prefixes: [['params/', '']],
  tiedCopy: '',
  ignored: /^$/,
  rules: [
    // [p, p, 3, W] there, [W, 3, p, p] here.
    ...dense('vision.patchEmbed', 'img/embedding', [3, 2, 0, 1], []),
    { path: 'vision.posEmbed.weight', name: 'img/pos_embedding', at: [0] },
    ...layerNorm('vision.layers.{i}.norm1', `${block}/LayerNorm_0`),
    // [W, H, D], and back [H, D, W].
    ...dense('vision.layers.{i}.attn.qProj', `${attention}/query`, [1, 2, 0]),
    ...dense('vision.layers.{i}.attn.kProj', `${attention}/key`, [1, 2, 0]),
    ...dense('vision.layers.{i}.attn.vProj', `${attention}/value`, [1, 2, 0]),
    ...dense('vision.layers.{i}.attn.outProj', `${attention}/out`, [2, 0, 1]),
    ...layerNorm('vision.layers.{i}.norm2', `${block}/LayerNorm_1`),
    ...dense('vision.layers.{i}.mlp.fc1', `${block}/MlpBlock_0/Dense_0`, transposed),
    ...dense('vision.layers.{i}.mlp.fc2', `${block}/MlpBlock_0/Dense_1`, transposed),
    ...layerNorm('vision.finalNorm', 'img/Transformer/encoder_norm', []),
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
    { ...norm('postAttnNorm', 'post_attention_norm'), families: ['gemma2'] },
    norm('preMlpNorm', 'pre_ffw_norm'),
    { ...linear('mlp.gateProj', 'mlp/gating_einsum', transposed), at: ['layer', 0] },
    { ...linear('mlp.upProj', 'mlp/gating_einsum', transposed), at: ['layer', 1] },
    { ...linear('mlp.downProj', 'mlp/linear', transposed), at: layer },
    { ...norm('postMlpNorm', 'post_ffw_norm'), families: ['gemma2'] },
    { path: 'language.finalNorm.weight', name: 'llm/final_norm/scale' },
  ],
};

function norm(path: string, name: string): LayoutRule {
  return { path: `language.layers.{i}.${path}.weight`, name: `llm/layers/${name}/scale`, at: layer };
}

function linear(path: string, name: string, permute: readonly number[]): LayoutRule {
  return { path: `language.layers.{i}.${path}.weight`, name: `llm/layers/${name}`, permute };
}
