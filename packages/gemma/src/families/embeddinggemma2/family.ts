import { EmbeddingModelError } from '../../config/errors.js';
import { vectorSizes } from '../embeddinggemma/config.js';
import { embeddingGemmaVectors } from '../embeddinggemma/forward.js';
import { gatherModules, modulesOf } from '../embeddinggemma/modules.js';
import { embeddingGemmaPrompt } from '../embeddinggemma/prompt.js';
import type { Model, ModelFamily, ParamTree } from '../family.js';
import { describeGemma4 } from '../gemma4/family.js';
import { absent, checkEmbeddingGemma2Config, type EmbeddingGemma2Config } from './config.js';
import { embeddingGemma2ConfigFromHf, embeddingGemma2ConfigToHf, modelTypes } from './hf.js';
import { sentenceTransformersLayout } from './layouts.js';
import {
  embeddingGemma2Linears,
  embeddingGemma2ParamSpecs,
  embeddingGemma2Towers,
  type EmbeddingGemma2Params,
} from './params.js';
import { embeddingGemma2Presets } from './presets.js';

/** `embeddingGemma2ParamSpecs` says what the tree holds: whoever makes one goes by it. */
const paramsOf = (tree: ParamTree) => tree as unknown as EmbeddingGemma2Params;

const name = 'EmbeddingGemma 2';
const answersNothing = (): never => {
  throw new EmbeddingModelError(name);
};

function describe(config: EmbeddingGemma2Config): Model<EmbeddingGemma2Config> {
  const { text, vectorSize, maxTokens, prompts } = checkEmbeddingGemma2Config(config);
  const sizes = vectorSizes(vectorSize);
  const { headPath: _none, toGguf: _yet, ...model } = describeGemma4(text);
  const { family: _form, slidingWindow: _window, ...settings } = model.settings;
  return {
    ...model,
    config,
    name,
    title: `embeddinggemma2 with ${text.numLayers} layers and vectors of ${vectorSize} values`,
    params: embeddingGemma2ParamSpecs(config),
    maxPositionEmbeddings: maxTokens,
    embedding: {
      sizes,
      prompts,
      embed: (params, hidden, tokenWeights) => embeddingGemmaVectors(paramsOf(params), hidden, tokenWeights),
    },
    prompt: embeddingGemmaPrompt,
    layouts: { safetensors: sentenceTransformersLayout(config) },
    settings: {
      ...Object.fromEntries(Object.entries(settings).filter(([setting]) => !(setting in absent))),
      seenOnEachSide: text.slidingWindow - 1,
      vectorSizes: sizes.join(', '),
      maxTokens,
    },
    logits: answersNothing,
    tokenLosses: answersNothing,
    toHf: (base) => embeddingGemma2ConfigToHf(config, base),
    hfFiles: (base) => modulesOf({ headSizes: [], maxTokens, prompts }, vectorSize, base),
  };
}

/** The text part of EmbeddingGemma 2: texts become vectors. */
export const embeddinggemma2 = {
  id: 'embeddinggemma2',
  presets: embeddingGemma2Presets,
  linears: embeddingGemma2Linears,
  towers: embeddingGemma2Towers,
  hf: { modelTypes, gather: gatherModules, read: embeddingGemma2ConfigFromHf },
  describe,
} as const satisfies ModelFamily<EmbeddingGemma2Config>;
