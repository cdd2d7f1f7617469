import {
  parseJson,
  TokenizerError,
  tokenizerFromGguf,
  tokenizerFromJson,
  tokenizerFromSentencePiece,
  type Model,
  type Tokenizer,
} from '@lapidary/gemma';
import type { OpenedWeights, WeightLoader } from '@lapidary/weights';
import { ConfigError } from '../../errors/errors.js';

/** A checkpoint that is open, with its tokenizer. */
export interface OpenModel {
  readonly weights: OpenedWeights;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
}

/** Opens what a config's loader points to. @throws ConfigError where no tokenizer is found, TokenizerError for one that cannot be used; what the loader throws */
export async function openModel(loader: WeightLoader): Promise<OpenModel> {
  const weights = await loader.open();
  try {
    const tokenizer = loader.tokenizer ?? (await openTokenizer(weights));
    return { weights, model: weights.model, tokenizer };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

async function openTokenizer(weights: OpenedWeights): Promise<Tokenizer> {
  const text = await weights.readText('tokenizer.json');
  if (text === undefined && weights.format === 'gguf') return tokenizerFromGguf(weights.metadata);
  if (text === undefined) {
    const { tokenizerFiles } = weights.model;
    for (const name of tokenizerFiles) {
      const bytes = await weights.readBytes(name);
      if (bytes !== undefined) return tokenizerFromSentencePiece(bytes);
    }
    const allowed = `a tokenizer.json, or one of ${tokenizerFiles.join(', ')}; the loader's \`tokenizer\` says where else it is`;
    throw new ConfigError({ problems: [{ path: 'weightLoader', found: 'no tokenizer beside the weights', allowed }] });
  }
  const config = await weights.readText('tokenizer_config.json');
  return tokenizerFromJson(parsed('tokenizer.json', text), parsed('tokenizer_config.json', config ?? '{}'));
}

function parsed(file: string, text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    throw new TokenizerError(`${file} is no JSON: ${(error as Error).message.slice(0, 120)}`);
  }
}
