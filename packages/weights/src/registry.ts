import type {
  EmbeddingGemma2Config,
  EmbeddingGemmaConfig,
  Gemma4Config,
  GemmaConfig,
  ModelFamily,
  PaliGemmaConfig,
} from '@lapidary/gemma';
import { modelWeightLoader } from './loader/model-weight-loader.js';
import type { WeightLoader } from './loader/types.js';
import type { ModelLocation, ModelSourceOptions } from './source/model-source.js';

// Loaders of one family: the only place of this package that names any. The family itself is loaded when files are opened.

/** Where a text model's weights are. */
export interface GemmaWeightLoaderOptions extends ModelSourceOptions {
  readonly from: ModelLocation;
  /** Where tokenizer files are, if not beside the weights: a folder or a hub id. */
  readonly tokenizer?: ModelLocation;
}

/**
 * Reads the text weights of Gemma 1 to 4 from a folder, a file, a URL or a hub, in safetensors or GGUF. Nothing is read before
 * `open`, which throws UnknownModelError, ConfigError, and what `modelWeightLoader` does.
 */
export function gemmaWeightLoader(options: GemmaWeightLoaderOptions): WeightLoader<GemmaConfig | Gemma4Config> {
  return modelWeightLoader<GemmaConfig | Gemma4Config>({
    ...options,
    families: async () => {
      const { gemma1, gemma2, gemma3, gemma4 } = await import('@lapidary/gemma');
      // Each describes configurations of its own only, which their `family` says.
      return [gemma1, gemma2, gemma3, gemma4] as readonly ModelFamily<GemmaConfig | Gemma4Config>[];
    },
  });
}

/** Where the weights of an EmbeddingGemma, the first or the second, are. */
export interface EmbeddingGemmaWeightLoaderOptions extends ModelSourceOptions {
  readonly from: ModelLocation;
  /** Where tokenizer files are, if not beside the weights: a folder or a hub id. */
  readonly tokenizer?: ModelLocation;
}

/**
 * Reads the weights of an EmbeddingGemma, its head included, or the text part of an EmbeddingGemma 2, from a folder of
 * sentence-transformers, its files, a URL or a hub. Nothing is read before `open`, which throws UnknownModelError, ConfigError, and what
 * `modelWeightLoader` does.
 */
export function embeddingGemmaWeightLoader(
  options: EmbeddingGemmaWeightLoaderOptions,
): WeightLoader<EmbeddingGemmaConfig | EmbeddingGemma2Config> {
  return modelWeightLoader<EmbeddingGemmaConfig | EmbeddingGemma2Config>({
    ...options,
    families: async () => {
      const { embeddinggemma, embeddinggemma2 } = await import('@lapidary/gemma');
      return [embeddinggemma, embeddinggemma2];
    },
  });
}

/** Where the weights of a PaliGemma are. */
export interface PaliGemmaWeightLoaderOptions extends ModelSourceOptions {
  /**
   * A PaliGemma 1 or 2: big_vision's official `.npz` (f32, f16 or bf16), or Hugging Face's safetensors of any generation. Left out
   * where only a decoder is at hand; `config` then says what the rest is like.
   */
  readonly from?: ModelLocation;
  /** A text-only Gemma whose weights become the decoder's, in place of those of `from`. Its words are the first of the vocabulary. */
  readonly decoder?: ModelLocation;
  /** Where tokenizer files are, if not beside the weights: a folder or a hub id. */
  readonly tokenizer?: ModelLocation;
  /** What the model is like, in place of what the files say; one of `paliGemmaPresets`, say. */
  readonly config?: PaliGemmaConfig;
  /** The cap of the last logits, in place of the configuration's; null for none, as Google fine-tunes PaliGemma 2. */
  readonly finalLogitSoftcap?: number | null;
}

/**
 * Reads the weights of PaliGemma 1 and 2 (both towers and what lies between) from a folder, a file, a URL or a hub. Nothing is read
 * before `open`, which throws UnknownModelError, ConfigError, and what `modelWeightLoader` does.
 * @throws TypeError where neither `from` is given, nor `decoder` and `config`
 */
export function paliGemmaWeightLoader(options: PaliGemmaWeightLoaderOptions): WeightLoader<PaliGemmaConfig> {
  const { decoder, finalLogitSoftcap, ...others } = options;
  if (others.from === undefined && (decoder === undefined || others.config === undefined))
    throw new TypeError('paliGemmaWeightLoader: `from` must be given, or `decoder` and `config`.');
  return modelWeightLoader<PaliGemmaConfig>({
    ...others,
    families: async () => [(await import('@lapidary/gemma')).paligemma],
    ...(decoder !== undefined && { parts: { decoder } }),
    ...(finalLogitSoftcap !== undefined && {
      adjustConfig: (config) => ({ ...config, text: { ...config.text, finalLogitSoftcap } }),
    }),
  });
}
