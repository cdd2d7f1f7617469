import {
  ChatTemplateError,
  chatTemplateFiles,
  type ChatTemplates,
  chatTemplatesOf,
  parseJson,
  specialTexts,
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
import { fingerprintAll, inOrder } from '../fingerprint.js';

/** A checkpoint that is open, with its tokenizer. */
export interface OpenModel {
  readonly weights: OpenedWeights;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Fingerprint of what the files that the tokenizer was read from say; null where it was at hand, or nobody asked. */
  readonly tokenizerFiles: string | null;
}

/**
 * Opens what a config's loader points to; `identify` asks for the fingerprint, which takes a second of a large vocabulary.
 * @throws ConfigError where no tokenizer is found, TokenizerError for one that cannot be used; what the loader throws
 */
export async function openModel(
  loader: WeightLoader,
  { identify = false }: { readonly identify?: boolean } = {},
): Promise<OpenModel> {
  const weights = await loader.open();
  const { read, ...files } = recorded(weights);
  try {
    const { tokenizer = await openTokenizer(files) } = loader;
    const tokenizerFiles = identify && loader.tokenizer === undefined ? fingerprintAll(read.map(inOrder)) : null;
    return { weights, model: weights.model, tokenizer, tokenizerFiles };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** An open model as its text part alone, for rows without pictures; the model itself where it has none, or is one. */
export function textPartOf(open: OpenModel): OpenModel {
  const { textPart } = open.weights;
  return textPart === undefined ? open : { ...open, weights: textPart, model: textPart.model };
}

/** Which of these paths, of an adapter's tensors too, lies in a part that the text part lacks; undefined where none does. */
export function pathForPictures({ params, textPart }: Model, paths: Iterable<string>): string | undefined {
  if (textPart === undefined) return undefined;
  const text = new Set(textPart.params.map(({ path }) => path));
  const modules = params.flatMap(({ path }) => (text.has(path) ? [] : path.slice(0, path.lastIndexOf('.'))));
  return [...paths].find((path) => modules.some((module) => path === module || path.startsWith(`${module}.`)));
}

/** What a tokenizer is read from. */
interface TokenizerSource extends Pick<OpenedWeights, 'format' | 'metadata' | 'model' | 'readText' | 'readBytes'> {
  /** A JSON object; undefined where there is none. @throws TokenizerError naming the file */
  readonly readJson: (name: string) => Promise<Readonly<Record<string, unknown>> | undefined>;
}

/** Notes what is read: of JSON what it says, not how it is spelled. */
function recorded(weights: OpenedWeights): TokenizerSource & { readonly read: unknown[] } {
  const { format, metadata, model } = weights;
  const read: unknown[] =
    format === 'gguf' ? Object.entries(metadata).filter(([key]) => key.startsWith('tokenizer.')) : [];
  const note = async <T>(name: string, content: Promise<T | undefined>): Promise<T | undefined> => {
    const found = await content;
    if (found !== undefined) read.push([name, found]);
    return found;
  };
  return {
    format,
    metadata,
    model,
    read,
    readJson: (name) => note(name, readJson(weights, name)),
    readText: (name) => note(name, weights.readText(name)),
    readBytes: (name) => note(name, weights.readBytes(name)),
  };
}

async function openTokenizer(weights: TokenizerSource): Promise<Tokenizer> {
  const config = await tokenizerConfigOf(weights);
  const tokenizer = await tokenizerOf(weights, config);
  const { model } = weights;
  if (tokenizer.endsTexts && model.embedding === undefined)
    throw new TokenizerError(
      `tokenizer.json: post_processor puts ${specialTexts(tokenizer).eosToken} behind every text, but a ${model.name} goes on with a text. Is it the tokenizer of a model that makes vectors?`,
    );
  const templates = (await templateFiles(weights)) ?? chatTemplatesOf(config['chat_template']);
  return templates ? withChatTemplate(tokenizer, templates) : tokenizer;
}

/** As transformers: where tokenizer_config.json does not list the added tokens, special_tokens_map.json names the special ones. */
async function tokenizerConfigOf(weights: TokenizerSource): Promise<Readonly<Record<string, unknown>>> {
  const config = (await weights.readJson('tokenizer_config.json')) ?? {};
  if ('added_tokens_decoder' in config) return config;
  return { ...config, ...(await weights.readJson('special_tokens_map.json')) };
}

/** As transformers: files of their own win over what is in the configuration. @throws ChatTemplateError for one that lacks another */
async function templateFiles(weights: TokenizerSource): Promise<ChatTemplates | undefined> {
  const [usual, other, tools] = chatTemplateFiles;
  // One after the other: what was read is told by its order.
  const file = await weights.readText(usual);
  const instead = await weights.readText(other);
  const toolUse = await weights.readText(tools);
  const source = instead ?? file;
  if (source !== undefined) return { default: source, ...(toolUse !== undefined && { toolUse }) };
  if (toolUse === undefined) return undefined;
  throw new ChatTemplateError(
    -1,
    'additional_chat_templates/tool_use.jinja is there without a chat_template.jinja, so that transformers has no template for conversations without tools: put one beside it',
  );
}

async function tokenizerOf(weights: TokenizerSource, config: object): Promise<Tokenizer> {
  const json = await weights.readJson('tokenizer.json');
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
async function readJson(
  weights: Pick<OpenedWeights, 'readText'>,
  name: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
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
