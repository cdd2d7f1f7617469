import { EmbeddingModelError } from '../../config/errors.js';
import type { Model, ModelFamily, ParamTree } from '../family.js';
import { describeGemma } from '../gemma/family.js';
import { checkEmbeddingGemmaConfig, type EmbeddingGemmaConfig, vectorSizes } from './config.js';
import { embeddingGemmaVectors } from './forward.js';
import { embeddingGemmaConfigFromHf, embeddingGemmaConfigToHf, modelType, seesBothWays } from './hf.js';
import { sentenceTransformersLayout } from './layouts.js';
import { gatherModules, modulesOf } from './modules.js';
import {
  embeddingGemmaLinears,
  embeddingGemmaParamSpecs,
  embeddingGemmaTowers,
  type EmbeddingGemmaParams,
} from './params.js';
import { embeddingGemmaPresets } from './presets.js';
import { embeddingGemmaPrompt } from './prompt.js';

/** `embeddingGemmaParamSpecs` says what the tree holds: whoever makes one goes by it. */
const paramsOf = (tree: ParamTree) => tree as unknown as EmbeddingGemmaParams;

const name = 'EmbeddingGemma';
const answersNothing = (): never => {
  throw new EmbeddingModelError(name);
};

function describe(config: EmbeddingGemmaConfig): Model<EmbeddingGemmaConfig> {
  const { text, headSizes, maxTokens, prompts } = checkEmbeddingGemmaConfig(config);
  const sizes = vectorSizes(headSizes.at(-1)!);
  const { headPath: _none, toGguf: _yet, ...model } = describeGemma(text);
  const { family: _form, slidingWindow: _window, ...settings } = model.settings;
  return {
    ...model,
    config,
    name,
    title: `embeddinggemma with ${text.numLayers} layers and vectors of ${headSizes.at(-1)} values`,
    params: embeddingGemmaParamSpecs(config),
    maxPositionEmbeddings: maxTokens,
    embedding: {
      sizes,
      prompts,
      embed: (params, hidden, tokenWeights) => embeddingGemmaVectors(paramsOf(params), hidden, tokenWeights),
    },
    prompt: embeddingGemmaPrompt,
    layouts: { safetensors: sentenceTransformersLayout(config) },
    settings: {
      ...settings,
      seenOnEachSide: text.slidingWindow && text.slidingWindow - 1,
      headSizes: headSizes.join(', '),
      vectorSizes: sizes.join(', '),
      maxTokens,
    },
    logits: answersNothing,
    tokenLosses: answersNothing,
    toHf: () => embeddingGemmaConfigToHf(config),
    hfFiles: (base) => modulesOf(config, text.hiddenSize, base),
  };
}

/** EmbeddingGemma (arXiv:2509.20354): texts become vectors. */
export const embeddinggemma = {
  id: 'embeddinggemma',
  presets: embeddingGemmaPresets,
  linears: embeddingGemmaLinears,
  towers: embeddingGemmaTowers,
  hf: {
    modelTypes: [modelType],
    isOwn: seesBothWays,
    gather: gatherModules,
    read: embeddingGemmaConfigFromHf,
  },
  describe,
} as const satisfies ModelFamily<EmbeddingGemmaConfig>;
