import {
  chatTemplatesOf,
  parseJson,
  TokenizerError,
  tokenizerFromGguf,
  tokenizerFromJson,
  tokenizerFromSentencePiece,
  withChatTemplate,
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
  const config = (await readJson(weights, 'tokenizer_config.json')) ?? {};
  const tokenizer = await tokenizerOf(weights, config);
  // As transformers: a file of its own wins over what is in the configuration.
  const file = await weights.readText('chat_template.jinja');
  const templates = file === undefined ? chatTemplatesOf(config['chat_template']) : { default: file };
  return templates ? withChatTemplate(tokenizer, templates) : tokenizer;
}

async function tokenizerOf(weights: OpenedWeights, config: object): Promise<Tokenizer> {
  const json = await readJson(weights, 'tokenizer.json');
  if (json !== undefined) return tokenizerFromJson(json, config);
  if (weights.format === 'gguf') return tokenizerFromGguf(weights.metadata);
  const { tokenizerFiles } = weights.model;
  for (const name of tokenizerFiles) {
    const bytes = await weights.readBytes(name);
    if (bytes !== undefined) return tokenizerFromSentencePiece(bytes);
  }
  const allowed = `a tokenizer.json, or one of ${tokenizerFiles.join(', ')}; the loader's \`tokenizer\` says where else it is`;
  throw new ConfigError({ problems: [{ path: 'weightLoader', found: 'no tokenizer beside the weights', allowed }] });
}

/** A JSON object beside the weights; undefined where there is none. @throws TokenizerError naming the file */
async function readJson(weights: OpenedWeights, name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const text = await weights.readText(name);
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = parseJson(text);
  } catch (error) {
    throw new TokenizerError(
      `${name} is no JSON: ${(error as Error).message.slice(0, 120)}. Download or copy it again.`,
    );
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new TokenizerError(`${name} holds no JSON object. Is it another file by that name?`);
  return json as Record<string, unknown>;
}
