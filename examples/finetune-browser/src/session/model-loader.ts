import { modelWeightLoader, type WeightLoader } from '@lapidary/weights';
import config from '../../../finetune/base/config.json?url';
import weights from '../../../finetune/base/model.safetensors?url';
import tokenizer from '../../../finetune/base/tokenizer.json?url';
import tokenizerConfig from '../../../finetune/base/tokenizer_config.json?url';
import type { ModelChoice, SavedModel } from './protocol.js';
import { nameOfModel, saveModel } from './saved-model.js';

/** The files of the small model that comes with the page. */
const small = {
  'config.json': config,
  'model.safetensors': weights,
  'tokenizer.json': tokenizer,
  'tokenizer_config.json': tokenizerConfig,
};

async function fetchFile([name, url]: [string, string]): Promise<File> {
  const response = await fetch(url);
  if (!response.ok)
    throw new Error(`${name} of the small model could not be fetched: the server answers ${response.status}.`);
  return new File([await response.blob()], name);
}

export interface LoaderOptions {
  readonly onNotice?: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** Nothing is read until `open`. */
export function loaderOf(
  choice: ModelChoice,
  options: LoaderOptions = {},
): WeightLoader & { readonly description: SavedModel; readonly baseModel: string } {
  const about = { description: saveModel(choice), baseModel: nameOfModel(choice) };
  if (choice.kind === 'small') {
    return {
      ...about,
      open: async () => modelWeightLoader({ from: await Promise.all(Object.entries(small).map(fetchFile)) }).open(),
    };
  }
  if (choice.kind === 'files') return { ...modelWeightLoader({ from: choice.files, ...options }), ...about };
  const { address, token } = choice;
  return { ...modelWeightLoader({ from: address, ...(token && { token }), ...options }), ...about };
}
