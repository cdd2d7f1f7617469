import { hubIdOf, modelWeightLoader, type WeightLoader } from '@lapidary/weights';
import config from '../../../finetune/base/config.json?url';
import weights from '../../../finetune/base/model.safetensors?url';
import tokenizer from '../../../finetune/base/tokenizer.json?url';
import tokenizerConfig from '../../../finetune/base/tokenizer_config.json?url';
import picturesConfig from '../../../finetune-vision/base/config.json?url';
import picturesWeights from '../../../finetune-vision/base/model.safetensors?url';
import picturesTokenizer from '../../../finetune-vision/base/tokenizer.json?url';
import picturesTokenizerConfig from '../../../finetune-vision/base/tokenizer_config.json?url';
import type { ModelChoice, OwnModel, SavedModel } from './protocol.js';
import { nameOfModel, saveModel } from './saved-model.js';

/** The files of the models that come with the page. */
const ownFiles: Readonly<Record<OwnModel, Readonly<Record<string, string>>>> = {
  small: {
    'config.json': config,
    'model.safetensors': weights,
    'tokenizer.json': tokenizer,
    'tokenizer_config.json': tokenizerConfig,
  },
  'small-pictures': {
    'config.json': picturesConfig,
    'model.safetensors': picturesWeights,
    'tokenizer.json': picturesTokenizer,
    'tokenizer_config.json': picturesTokenizerConfig,
  },
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
  if (choice.kind === 'files') return { ...modelWeightLoader({ from: choice.files, ...options }), ...about };
  if (choice.kind === 'address') {
    const { address, token } = choice;
    return { ...modelWeightLoader({ from: address, ...(token && { token }), ...options }), ...about };
  }
  const files = Object.entries(ownFiles[choice.kind]);
  return {
    ...about,
    open: async () => modelWeightLoader({ from: await Promise.all(files.map(fetchFile)) }).open(),
  };
}
