import type { ModelLocation, ModelSourceOptions } from '../source/model-source.js';
import { openModelSource } from '../source/model-source.js';
import { gemmaWeightLoader } from './gemma-weight-loader.js';
import { openContainer } from './open-container.js';
import { paliGemmaWeightLoader } from './paligemma-weight-loader.js';
import type { WeightLoader } from './types.js';

export interface ModelWeightLoaderOptions extends ModelSourceOptions {
  readonly from: ModelLocation;
  /** Where tokenizer files are, if not beside the weights: a folder or a hub id. */
  readonly tokenizer?: ModelLocation;
}

/** Reads any model that this package knows, whichever the files say they are of. */
export function modelWeightLoader(options: ModelWeightLoaderOptions): WeightLoader {
  return {
    async open() {
      const model = await openModelSource(options.from, options);
      let isPaliGemma: boolean;
      try {
        const { format, metadata } = await openContainer(model, options.signal);
        isPaliGemma = format === 'npz' || metadata['model_type'] === 'paligemma';
      } finally {
        await model.close();
      }
      return isPaliGemma ? paliGemmaWeightLoader(options).open() : gemmaWeightLoader(options).open();
    },
  };
}
