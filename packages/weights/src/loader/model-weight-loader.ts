import type { ModelLocation, ModelSourceOptions } from '../source/model-source.js';
import { openModelSource } from '../source/model-source.js';
import { openGemma } from './gemma-weight-loader.js';
import { openContainer } from './open-container.js';
import { withSources } from './open-weights.js';
import { openPaliGemma } from './paligemma-weight-loader.js';
import type { OpenedWeights, WeightLoader } from './types.js';

export interface ModelWeightLoaderOptions extends ModelSourceOptions {
  readonly from: ModelLocation;
  /** Where tokenizer files are, if not beside the weights: a folder or a hub id. */
  readonly tokenizer?: ModelLocation;
}

/** Reads any model that this package knows, whichever the files say they are of. */
export function modelWeightLoader(options: ModelWeightLoaderOptions): WeightLoader {
  const { from, tokenizer, ...sourceOptions } = options;
  const locations = [from, ...(tokenizer === undefined ? [] : [tokenizer])];
  return {
    open: () =>
      withSources(
        locations.map((location) => () => openModelSource(location, sourceOptions)),
        async (sources, close): Promise<OpenedWeights> => {
          const model = sources[0]!;
          const container = await openContainer(model, options.signal);
          const beside = [...sources].reverse();
          const isPaliGemma = container.format === 'npz' || container.metadata['model_type'] === 'paligemma';
          return isPaliGemma
            ? openPaliGemma({ model, container, decoder: undefined, beside, close, options })
            : openGemma(container, { name: model.name, beside, close });
        },
      ),
  };
}
