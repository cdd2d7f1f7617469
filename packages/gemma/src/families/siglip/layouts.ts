import type { LayoutRule } from '../layout.js';

/** A weight and its bias. */
export function both(path: string, name: string): LayoutRule[] {
  return ['weight', 'bias'].map((part) => ({ path: `${path}.${part}`, name: `${name}.${part}` }));
}

/** Hugging Face's names of a vision tower's parameters under `vision_tower`. */
export function siglipHuggingFaceRules(): LayoutRule[] {
  const layer = 'vision_tower.encoder.layers.{i}';
  return [
    ...both('vision.patchEmbed', 'vision_tower.embeddings.patch_embedding'),
    { path: 'vision.posEmbed.weight', name: 'vision_tower.embeddings.position_embedding.weight' },
    ...both('vision.layers.{i}.norm1', `${layer}.layer_norm1`),
    ...both('vision.layers.{i}.attn.qProj', `${layer}.self_attn.q_proj`),
    ...both('vision.layers.{i}.attn.kProj', `${layer}.self_attn.k_proj`),
    ...both('vision.layers.{i}.attn.vProj', `${layer}.self_attn.v_proj`),
    ...both('vision.layers.{i}.attn.outProj', `${layer}.self_attn.out_proj`),
    ...both('vision.layers.{i}.norm2', `${layer}.layer_norm2`),
    ...both('vision.layers.{i}.mlp.fc1', `${layer}.mlp.fc1`),
    ...both('vision.layers.{i}.mlp.fc2', `${layer}.mlp.fc2`),
    ...both('vision.finalNorm', 'vision_tower.post_layernorm'),
  ];
}

const stacked = ['layer'] as const;

function layerNorm(path: string, name: string, at: readonly 'layer'[] = stacked): LayoutRule[] {
  return [
    { path: `${path}.weight`, name: `${name}/scale`, at },
    { path: `${path}.bias`, name: `${name}/bias`, at },
  ];
}

/** A linear of big_vision's: [in, out], or with heads apart, in another order of axes. */
export function dense(
  path: string,
  name: string,
  permute: readonly number[],
  at: readonly 'layer'[] = stacked,
): LayoutRule[] {
  return [
    { path: `${path}.weight`, name: `${name}/kernel`, at, permute },
    { path: `${path}.bias`, name: `${name}/bias`, at },
  ];
}

/** big_vision's names of a vision tower's parameters, its layers stacked on the first axis. */
export function siglipBigVisionRules(): LayoutRule[] {
  const block = 'img/Transformer/encoderblock';
  const attention = `${block}/MultiHeadDotProductAttention_0`;
  return [
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
    ...dense('vision.layers.{i}.mlp.fc1', `${block}/MlpBlock_0/Dense_0`, [1, 0]),
    ...dense('vision.layers.{i}.mlp.fc2', `${block}/MlpBlock_0/Dense_1`, [1, 0]),
    ...layerNorm('vision.finalNorm', 'img/Transformer/encoder_norm', []),
  ];
}
