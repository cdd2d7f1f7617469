import { ConfigError } from '../../config/errors.js';
import { checkSize } from '../../config/fields.js';
import { checkGemmaConfig, type GemmaConfig, largestSize } from '../gemma/config.js';

/** A text model of Gemma 3's form whose tokens see each other in both directions, and linears that make one vector of them. */
export interface EmbeddingGemmaConfig {
  readonly family: 'embeddinggemma';
  /** On local layers tokens see those less than `slidingWindow` away, before them and after. */
  readonly text: GemmaConfig;
  /** Values that each linear of the head gives, in order; the last ones are the vector's. */
  readonly headSizes: readonly number[];
  /** Tokens of the longest text, `<bos>` and `<eos>` included. */
  readonly maxTokens: number;
  /** What stands before a text, by what it is for. */
  readonly prompts: Readonly<Record<string, string>>;
}

/** The config itself, when its numbers can be a model's. @throws ConfigError naming the field */
export function checkEmbeddingGemmaConfig(config: EmbeddingGemmaConfig): EmbeddingGemmaConfig {
  const { text, headSizes, maxTokens } = config;
  checkGemmaConfig(text);
  if (text.family !== 'gemma3')
    throw new ConfigError('text.family', text.family, 'but the text model of EmbeddingGemma is of the form of Gemma 3');
  if (headSizes.length === 0) throw new ConfigError('headSizes', headSizes, 'but there is at least one linear');
  for (const size of headSizes) checkSize('headSizes', size, largestSize);
  checkSize('maxTokens', maxTokens, text.maxPositionEmbeddings);
  return config;
}

/** The size of released vectors, and what the releases were trained to have them cut to (arXiv:2509.20354). */
const releasedSizes = [768, 512, 256, 128] as const;

/** Sizes of a model's vectors of `size` values, largest first: only those of the released size are known to bear being cut. */
export function vectorSizes(size: number): readonly [number, ...number[]] {
  return size === releasedSizes[0] ? releasedSizes : [size];
}
