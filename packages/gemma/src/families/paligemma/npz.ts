import { ArrayShapesError } from '../../config/errors.js';
import { everyNthGlobal, type GemmaConfig } from '../gemma/config.js';
import { gemmaPresets } from '../gemma/presets.js';
import { withoutPrefixes } from '../layout.js';
import { checkPaliGemmaConfig, type PaliGemmaConfig } from './config.js';
import { bigVisionPrefixes } from './layouts.js';

const layerNormEps = 1e-6;

/**
 * The configuration of a PaliGemma that big_vision wrote: the files hold arrays only, but their shapes, by name, say it. What they do
 * not say is as in every released model; the final soft-cap of PaliGemma 2 is off, as in Google's recipe for fine-tuning it.
 * @throws ArrayShapesError for arrays that are no PaliGemma's of big_vision. @throws ConfigError
 */
export function paliGemmaConfigFromBigVision(shapes: ReadonlyMap<string, readonly number[]>): PaliGemmaConfig {
  const bare = new Map(
    [...shapes].map(([name, found]) => [withoutPrefixes({ prefixes: bigVisionPrefixes }, name), { name, found }]),
  );
  const shape = (name: string, rank: number): readonly number[] => {
    const array = bare.get(name);
    if (array === undefined) {
      const problem = `there is no params/${name}: this is no PaliGemma file of big_vision's.`;
      throw new ArrayShapesError(`params/${name}`, undefined, problem);
    }
    const { found } = array;
    if (found.length !== rank) {
      const problem = `has shape [${found.join(', ')}], but a PaliGemma's has ${rank} axes.`;
      throw new ArrayShapesError(array.name, found, problem);
    }
    return found;
  };
  const [patchSize = 0, , , width = 0] = shape('img/embedding/kernel', 4);
  const [, patches = 0] = shape('img/pos_embedding', 3);
  const [visionLayers = 0, , visionHeads = 0] = shape(
    'img/Transformer/encoderblock/MultiHeadDotProductAttention_0/query/kernel',
    4,
  );
  const [, , visionMlp = 0] = shape('img/Transformer/encoderblock/MlpBlock_0/Dense_0/kernel', 3);

  const [vocabSize = 0, hiddenSize = 0] = shape('llm/embedder/input_embedding', 2);
  const merged = bare.has('llm/layers/attn/qkv_einsum/w');
  const queries = merged ? shape('llm/layers/attn/qkv_einsum/w', 5).slice(1) : shape('llm/layers/attn/q_einsum/w', 4);
  const [, numHeads = 0, , headDim = 0] = queries;
  const numKvHeads = merged ? numHeads : (shape('llm/layers/attn/kv_einsum/w', 5)[2] ?? 0);
  const [numLayers = 0, intermediateSize = 0] = shape('llm/layers/mlp/linear', 3);
  const isGemma2 = bare.has('llm/layers/post_attention_norm/scale');
  const like: GemmaConfig = gemmaPresets[isGemma2 ? 'gemma-2-2b' : 'gemma-2b'];
  const is27b = numLayers === gemmaPresets['gemma-2-27b'].numLayers;
  return checkPaliGemmaConfig({
    family: 'paligemma',
    vision: {
      hiddenSize: width,
      intermediateSize: visionMlp,
      numLayers: visionLayers,
      numHeads: visionHeads,
      imageSize: Math.sqrt(patches) * patchSize,
      patchSize,
      layerNormEps,
    },
    text: {
      ...like,
      vocabSize,
      hiddenSize,
      intermediateSize,
      numLayers,
      numHeads,
      numKvHeads,
      headDim,
      queryPreAttnScalar: is27b ? hiddenSize / numHeads : headDim,
      finalLogitSoftcap: null,
      slidingWindow: null,
      layerTypes: everyNthGlobal(numLayers, 1),
    },
    imageTokenId: vocabSize,
  });
}
