import {
  add,
  attention,
  checkpoint,
  constantI32,
  gelu,
  layerNorm,
  linear,
  reshape,
  type Tensor,
} from '@lapidary/tensor';
import { createProjection, type LoraRun, type Projection } from '../../models/projection.js';
import { isRecomputed } from '../../models/recompute.js';
import type { ForwardOptions } from '../family.js';
import type { SiglipConfig } from './config.js';
import type { SiglipLayerParams, SiglipParams } from './params.js';

// SigLIP's vision transformer (Zhai et al. 2023, arXiv:2303.15343; Dosovitskiy et al. 2020, arXiv:2010.11929) without a pooling
// head, as big_vision and transformers compute it.

/** How a vision tower runs. */
export interface SiglipOptions extends LoraRun, Pick<ForwardOptions, 'gradientCheckpointing'> {
  /** Number of the first block, where several towers share a LoRA dropout seed or a count of blocks. Default 0. */
  readonly firstBlock?: number;
}

/** Features of images after the last norm, f32 [B, N, W]. `patches` f32 [B, N, 3·p·p]: rows of patches, each channel, row, column. */
export function siglipHidden(
  params: SiglipParams,
  config: SiglipConfig,
  patches: Tensor,
  options: SiglipOptions = {},
): Tensor {
  const [batch, count] = patches.shape as [number, number, number];
  const norm = { eps: config.layerNormEps };
  const { weight, ...bias } = params.patchEmbed;
  const kernel = reshape(weight, [config.hiddenSize, -1]);
  let h = add(linear(patches, { weight: kernel, ...bias }), params.posEmbed.weight);
  // Records of one segment, block and position: every patch sees every patch.
  const everywhere = constantI32(1, [batch, count, 4]);
  params.layers.forEach((layer, index) => {
    const block = (options.firstBlock ?? 0) + index;
    const project = createProjection(options, block);
    const run = (x: Tensor) => siglipBlock(x, layer, { config, everywhere, project });
    h = isRecomputed(options, block) ? checkpoint(run)(h) : run(h);
  });
  return layerNorm(h, params.finalNorm.weight, params.finalNorm.bias, norm);
}

interface Block {
  readonly config: SiglipConfig;
  readonly everywhere: Tensor;
  readonly project: Projection;
}

/** h + attention(norm(h)), then h + mlp(norm(h)). */
function siglipBlock(h: Tensor, params: SiglipLayerParams, block: Block): Tensor {
  const norm = { eps: block.config.layerNormEps };
  const middle = add(h, selfAttention(layerNorm(h, params.norm1.weight, params.norm1.bias, norm), params.attn, block));
  return add(middle, mlp(layerNorm(middle, params.norm2.weight, params.norm2.bias, norm), params.mlp, block));
}

function selfAttention(x: Tensor, params: SiglipLayerParams['attn'], { config, everywhere, project }: Block): Tensor {
  const [batch, count] = x.shape as [number, number, number];
  const { numHeads, hiddenSize } = config;
  const headDim = hiddenSize / numHeads;
  const heads = (projected: Tensor) => reshape(projected, [batch, count, numHeads, headDim]);
  const q = heads(project(x, params.qProj, 0));
  const k = heads(project(x, params.kProj, 1));
  const v = heads(project(x, params.vProj, 2));
  const out = attention(q, k, v, everywhere, everywhere, { scale: headDim ** -0.5 });
  return project(reshape(out, [batch, count, hiddenSize]), params.outProj, 3);
}

function mlp(x: Tensor, params: SiglipLayerParams['mlp'], { project }: Block): Tensor {
  return project(gelu(project(x, params.fc1, 4)), params.fc2, 5);
}
