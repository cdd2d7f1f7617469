import { ConfigError } from '../../config/errors.js';
import { checkSize, isFields, watchFields } from '../../config/fields.js';
import type { Tell } from '../../config/hf-fields.js';
import { type GemmaConfig, largestSize } from '../gemma/config.js';
import { generations } from '../gemma/generations.js';
import { checkModelType, gemmaConfigToHf, readTextConfig } from '../gemma/hf.js';
import type { HfConfig, HfFiles } from '../layout.js';
import { checkEmbeddingGemmaConfig, type EmbeddingGemmaConfig } from './config.js';
import { type ModulesForm, readModules } from './modules.js';
import { releasedPrompts } from './prompt.js';

/** `model_type` of the text model, which Gemma 3 has too. */
export const modelType = 'gemma3_text';

const form: ModulesForm = {
  name: 'EmbeddingGemma',
  hasHead: true,
  widthField: 'hidden_size',
  prompts: releasedPrompts,
};

/** Whether a config.json is of a text model whose tokens see each other in both directions. */
export function seesBothWays(json: HfConfig): boolean {
  return json['use_bidirectional_attention'] === true;
}

/**
 * The config.json of an EmbeddingGemma with the other JSON files of its folder, by name, as an `EmbeddingGemmaConfig`. `tell` is told of
 * fields that are not known.
 * @throws {ConfigError} naming the field, or the file and the field, also for what asks for something that is not computed
 */
export function embeddingGemmaConfigFromHf(json: unknown, tell?: Tell, files: HfFiles = {}): EmbeddingGemmaConfig {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const watched = watchFields(json);
  const { fields } = watched;
  checkModelType(fields, '', [modelType]);
  if (!seesBothWays(fields))
    throw new ConfigError(
      'use_bidirectional_attention',
      fields['use_bidirectional_attention'],
      'but in an EmbeddingGemma tokens see each other in both directions',
    );
  const text = withWindowOfTwoSides(readTextConfig(watched, generations.gemma3, fields, { tell, where: '' }));
  const { maxTokens = Number.POSITIVE_INFINITY, ...modules } = readModules(files, form, text.hiddenSize, tell);
  return checkEmbeddingGemmaConfig({
    family: 'embeddinggemma',
    text,
    ...modules,
    maxTokens: Math.min(maxTokens, text.maxPositionEmbeddings),
  });
}

/** Files say how far both sides of the window reach together: with W a token sees those up to ⌊W / 2⌋ away. */
function withWindowOfTwoSides(text: GemmaConfig): GemmaConfig {
  const { slidingWindow } = text;
  if (slidingWindow === null) return text;
  checkSize('sliding_window', slidingWindow, largestSize);
  return { ...text, slidingWindow: Math.floor(slidingWindow / 2) + 1 };
}

/** The config.json of the text model, in the spellings of old and new transformers alike. */
export function embeddingGemmaConfigToHf({ text }: EmbeddingGemmaConfig): Record<string, unknown> {
  const { slidingWindow } = text;
  return {
    ...gemmaConfigToHf(text),
    architectures: ['Gemma3TextModel'],
    use_bidirectional_attention: true,
    ...(slidingWindow !== null && { sliding_window: 2 * (slidingWindow - 1) }),
  };
}
