import { type PaliGemmaConfig, paliGemmaConfigFromHf } from '@lapidary/gemma';
import { WeightFileError, WeightNamesError } from '../errors.js';
import { bigVisionLayout } from '../layout/big-vision.js';
import { paliGemmaConfigFromBigVision } from '../layout/big-vision-config.js';
import { huggingFaceLayout } from '../layout/hugging-face.js';
import {
  type ModelLocation,
  type ModelSource,
  type ModelSourceOptions,
  openModelSource,
} from '../source/model-source.js';
import { textModelOf } from './gemma-weight-loader.js';
import { locate, type LocatedWeight, type LocatedWeights } from './locate.js';
import { type Container, openContainer } from './open-container.js';
import { openWeights, withSources } from './open-weights.js';
import type { OpenedWeights, WeightLoader } from './types.js';

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

/** Reads the weights of PaliGemma 1 and 2 (both towers and what lies between) from a folder, a file, a URL or a hub. */
export function paliGemmaWeightLoader(options: PaliGemmaWeightLoaderOptions): WeightLoader<PaliGemmaConfig> {
  const { from, decoder, tokenizer, config, finalLogitSoftcap, ...sourceOptions } = options;
  if (from === undefined && (decoder === undefined || config === undefined)) {
    throw new TypeError('paliGemmaWeightLoader: `from` must be given, or `decoder` and `config`.');
  }
  const opener = (location: ModelLocation | undefined) =>
    location === undefined ? [] : [() => openModelSource(location, sourceOptions)];
  return {
    open: () =>
      withSources([...opener(from), ...opener(decoder), ...opener(tokenizer)], (sources, close) => {
        const at = from === undefined ? 0 : 1;
        return openPaliGemma({
          model: from === undefined ? undefined : sources[0],
          decoder: decoder === undefined ? undefined : sources[at],
          beside: [...sources].reverse(),
          close,
          options,
        });
      }),
  };
}

interface Sources {
  readonly model: ModelSource | undefined;
  /** Of `model`, where its headers have been read. */
  readonly container?: Container;
  readonly decoder: ModelSource | undefined;
  readonly beside: readonly ModelSource[];
  readonly close: () => Promise<void>;
  readonly options: PaliGemmaWeightLoaderOptions;
}

/** A PaliGemma whose sources have been opened. */
export async function openPaliGemma({
  model,
  container: opened,
  decoder,
  beside,
  close,
  options,
}: Sources): Promise<OpenedWeights<PaliGemmaConfig>> {
  const container = opened ?? (model && (await openContainer(model, options.signal)));
  const found = options.config ?? paliGemmaConfigOf(container!, model!.name);
  const { finalLogitSoftcap } = options;
  const config = finalLogitSoftcap === undefined ? found : { ...found, text: { ...found.text, finalLogitSoftcap } };
  const weights = new Map<string, LocatedWeight>();
  const ignored: string[] = [];
  let tiedCopy: LocatedWeights['tiedCopy'];
  if (container) {
    const layout = container.format === 'npz' ? bigVisionLayout : huggingFaceLayout(config);
    const located = locate(container.tensors, layout, config, model!.name);
    for (const [path, weight] of located.weights) weights.set(path, weight);
    ignored.push(...located.ignored);
    tiedCopy = located.tiedCopy;
  }
  if (decoder) {
    const text = await openContainer(decoder, options.signal);
    const { config: textConfig, layout } = textModelOf(text, decoder.name);
    checkDecoder(config, textConfig.family, decoder.name);
    const located = locate(text.tensors, layout, config.text, decoder.name, { vocabMayGrow: true });
    for (const [path, weight] of located.weights) {
      const whole = `language.${path}`;
      const replaced = weights.get(whole);
      if (replaced) ignored.push(replaced.stored.name);
      weights.set(whole, { ...weight, path: whole });
    }
    ignored.push(...located.ignored);
    tiedCopy = located.tiedCopy && { ...located.tiedCopy, embedding: `language.${located.tiedCopy.embedding}` };
  }
  const name = [model?.name, decoder?.name].filter(Boolean).join(' and ');
  const located = { weights, ignored: [...new Set(ignored)], tiedCopy };
  return openWeights(config, container ?? { format: 'safetensors', metadata: {} }, located, { name, beside, close });
}

/** What a file says its PaliGemma is like. */
export function paliGemmaConfigOf({ format, metadata, tensors }: Container, name: string): PaliGemmaConfig {
  if (format === 'npz') return paliGemmaConfigFromBigVision(tensors, name);
  if (format === 'gguf') {
    throw new WeightFileError(
      { file: name },
      'is a GGUF, of which only text models can be read: give it as `decoder`.',
    );
  }
  return paliGemmaConfigFromHf(metadata);
}

function checkDecoder({ text }: PaliGemmaConfig, family: string, file: string): void {
  if (family === text.family) return;
  throw new WeightNamesError(file, `is a ${family}, but this PaliGemma has a ${text.family} as its decoder.`, {});
}
