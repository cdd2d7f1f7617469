import { hubIdOf, modelWeightLoader, type WeightLoader } from '@lapidary/weights';
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
): WeightLoader & { readonly description: SavedModel } {
  const baseModel = choice.kind === 'address' ? hubIdOf(choice.address) : undefined;
  const isGguf = choice.kind === 'address' && /\.gguf\b/i.test(choice.address);
  const about = {
    description: saveModel(choice),
    name: nameOfModel(choice),
    // A GGUF says itself what it was made of.
    ...(baseModel && !isGguf && { baseModel }),
  };
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
