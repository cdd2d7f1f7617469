import { ConfigError } from '../../config/errors.js';
import { checkSize } from '../../config/fields.js';
import { largestSize } from '../gemma/config.js';
import { checkGemma4Blocks, type Gemma4Config } from '../gemma4/config.js';

/** A text model of Gemma 4's blocks whose tokens see each other in both directions, and a linear that makes one vector of them. */
export interface EmbeddingGemma2Config {
  readonly family: 'embeddinggemma2';
  /**
   * On local layers tokens see those less than `slidingWindow` away, before them and after. What layers are given is made of embeddings
   * alone.
   */
  readonly text: Gemma4Config;
  /** Values of a vector. */
  readonly vectorSize: number;
  /** Tokens of the longest text, `<bos>` and `<eos>` included. */
  readonly maxTokens: number;
  /** What stands before a text, by what it is for. */
  readonly prompts: Readonly<Record<string, string>>;
}

/** What Gemma 4 may have, and EmbeddingGemma 2 has not. */
export const absent = {
  useDoubleWideMlp: false,
  attentionKEqV: false,
  numKvSharedLayers: 0,
  vocabSizePerLayerInput: 0,
  finalLogitSoftcap: null,
} as const satisfies Partial<Gemma4Config>;

/** The config itself, when its numbers can be a model's. @throws ConfigError naming the field */
export function checkEmbeddingGemma2Config(config: EmbeddingGemma2Config): EmbeddingGemma2Config {
  const { text, vectorSize, maxTokens } = config;
  checkGemma4Blocks(text);
  checkSize('text.hiddenSizePerLayerInput', text.hiddenSizePerLayerInput, largestSize);
  for (const [field, value] of Object.entries(absent)) {
    const found = text[field as keyof typeof absent];
    if (found !== value) throw new ConfigError(`text.${field}`, found, `but it is ${value} in an EmbeddingGemma 2`);
  }
  checkSize('vectorSize', vectorSize, largestSize);
  checkSize('maxTokens', maxTokens, text.maxPositionEmbeddings);
  return config;
}
