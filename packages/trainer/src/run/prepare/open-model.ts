import {
  tokenizerFromGguf,
  tokenizerFromJson,
  tokenizerFromSentencePiece,
  type Model,
  type Tokenizer,
  TokenizerError,
} from '@lapidary/gemma';
import type { OpenedWeights, WeightLoader } from '@lapidary/weights';
import { ConfigError } from '../../errors/errors.js';
import { fingerprintAll } from '../fingerprint.js';

/** A checkpoint that is open, with its tokenizer. */
export interface OpenModel {
  readonly weights: OpenedWeights;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Fingerprint of the files that the tokenizer was read from; null where it was at hand. */
  readonly tokenizerFiles: string | null;
}

/** Opens what a config's loader points to. @throws ConfigError where no tokenizer is found; what the loader throws */
export async function openModel(loader: WeightLoader): Promise<OpenModel> {
  const weights = await loader.open();
  try {
    const { tokenizer, tokenizerFiles } =
      loader.tokenizer === undefined
        ? await openTokenizer(weights)
        : { tokenizer: loader.tokenizer, tokenizerFiles: null };
    return { weights, model: weights.model, tokenizer, tokenizerFiles };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

type OpenTokenizer = Pick<OpenModel, 'tokenizer' | 'tokenizerFiles'>;

async function openTokenizer(weights: OpenedWeights): Promise<OpenTokenizer> {
  const text = await weights.readText('tokenizer.json');
  if (text === undefined && weights.format === 'gguf') {
    const about = Object.entries(weights.metadata).filter(([key]) => key.startsWith('tokenizer.'));
    return { tokenizer: await tokenizerFromGguf(weights.metadata), tokenizerFiles: fingerprintAll(about) };
  }
  if (text === undefined) {
    const { tokenizerFiles: names } = weights.model;
    for (const name of names) {
      const bytes = await weights.readBytes(name);
      if (bytes === undefined) continue;
      return { tokenizer: await tokenizerFromSentencePiece(bytes), tokenizerFiles: fingerprintAll([bytes]) };
    }
    const allowed = `a tokenizer.json, or one of ${names.join(', ')}; the loader's \`tokenizer\` says where else it is`;
    throw new ConfigError({ problems: [{ path: 'weightLoader', found: 'no tokenizer beside the weights', allowed }] });
  }
  const about = (await weights.readText('tokenizer_config.json')) ?? '{}';
  return {
    tokenizer: await tokenizerFromJson(parseJson(text, 'tokenizer.json'), parseJson(about, 'tokenizer_config.json')),
    tokenizerFiles: fingerprintAll([text, about]),
  };
}

/** @throws TokenizerError */
function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TokenizerError(`${file} is no JSON: ${(cause as Error).message}`, { cause });
  }
}
