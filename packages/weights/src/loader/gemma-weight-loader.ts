import { type GemmaConfig, gemmaConfigFromGguf, gemmaConfigFromHf } from '@lapidary/gemma';
import { WeightFileError } from '../errors.js';
import { ggufLayout } from '../layout/gguf.js';
import { huggingFaceLayout } from '../layout/hugging-face.js';
import { type ModelLocation, type ModelSourceOptions, openModelSource } from '../source/model-source.js';
import { locate } from './locate.js';
import { type Container, openContainer } from './open-container.js';
import { openWeights, withSources } from './open-weights.js';
import type { OpenedWeights, WeightLoader } from './types.js';

export interface GemmaWeightLoaderOptions extends ModelSourceOptions {
  readonly from: ModelLocation;
  /** Where tokenizer files are, if not beside the weights: a folder or a hub id. */
  readonly tokenizer?: ModelLocation;
}

/** Reads the text weights of Gemma 1, 2 and 3 from a folder, a file, a URL or a hub, in safetensors or GGUF. */
export function gemmaWeightLoader(options: GemmaWeightLoaderOptions): WeightLoader<GemmaConfig> {
  const { from, tokenizer, ...sourceOptions } = options;
  const locations = [from, ...(tokenizer === undefined ? [] : [tokenizer])];
  return {
    open: () =>
      withSources(
        locations.map((location) => () => openModelSource(location, sourceOptions)),
        async (sources, close) => {
          const model = sources[0]!;
          const container = await openContainer(model, options.signal);
          return openGemma(container, { name: model.name, beside: [...sources].reverse(), close });
        },
      ),
  };
}

/** A text model whose files have been found. */
export function openGemma(container: Container, about: Parameters<typeof openWeights>[3]): OpenedWeights<GemmaConfig> {
  const { config, layout } = textModelOf(container, about.name);
  return openWeights(config, container, locate(container.tensors, layout, config, about.name), about);
}

/** What a text model's files say it is, and how they name its parameters. */
export function textModelOf({ format, metadata }: Container, name: string) {
  if (format === 'gguf') return { config: gemmaConfigFromGguf(metadata), layout: ggufLayout };
  if (format === 'npz') {
    throw new WeightFileError({ file: name }, 'is an npz, as PaliGemma comes: open it with paliGemmaWeightLoader.');
  }
  const config = gemmaConfigFromHf(metadata);
  return { config, layout: huggingFaceLayout(config) };
}
