import {
  chatTemplateFiles,
  parseJson,
  tokenizerFilesFromGguf,
  tokenizerFilesFromSentencePiece,
  type Model,
  type Tokenizer,
  type TokenizerFiles,
} from '@lapidary/gemma';
import type { OpenedWeights } from '@lapidary/weights';
import type { FileContent } from '../../store/file-store.js';

/** Beside a tokenizer, in Hugging Face's folders: the tokenizer's, the chat template's, and how pictures are prepared. */
const passedOn = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  ...chatTemplateFiles,
  'chat_template.json',
  'preprocessor_config.json',
  'processor_config.json',
  'video_preprocessor_config.json',
] as const;
const generationFile = 'generation_config.json';

/** Names of the files that may lie beside config.json and weights, but a tokenizer's pieces. */
export const namesBeside: readonly string[] = [...passedOn, generationFile];

/** A model that is exported whole. */
export interface ExportedModel {
  readonly weights: Pick<OpenedWeights, 'format' | 'metadata' | 'readText' | 'readBytes'>;
  readonly model: Pick<Model, 'eosTokenIds' | 'preprocessorConfig' | 'prompt' | 'tokenizerFiles'>;
  readonly tokenizer: Tokenizer;
}

/**
 * What a folder of Hugging Face's has beside config.json and weights, so that what opens it has the source's tokenizer and chat template,
 * prepares pictures as the source, and stops where an answer ends: the source's files as they are, a tokenizer.json where the source has
 * its tokenizer in another form, the family's chat template where it has none, and generation_config.json with every token that ends an answer here. What cannot be read is told, and
 * left out: the trained weights are not lost over it.
 */
export async function filesBeside(
  { weights, model, tokenizer }: ExportedModel,
  onNotice: (message: string) => unknown,
): Promise<Record<string, FileContent>> {
  const files: Record<string, FileContent> = {};
  const attempt = async <T>(name: string, read: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      await onNotice(
        `${name} of the model could not be read, and is not among the exported files: ${(error as Error).message}`,
      );
      return undefined;
    }
  };
  for (const name of passedOn) {
    const text = await attempt(name, () => weights.readText(name));
    if (text !== undefined) files[name] = text;
  }
  const [pieceFile = 'tokenizer.model', ...otherNames] = model.tokenizerFiles;
  for (const name of [pieceFile, ...otherNames]) {
    const bytes = await attempt(name, () => weights.readBytes(name));
    if (bytes === undefined) continue;
    files[pieceFile] = bytes;
    break;
  }
  if (files['tokenizer.json'] === undefined) {
    const made = await attempt('The tokenizer', async () => tokenizerFilesOf(weights, files[pieceFile]));
    // A tokenizer_config.json of the source says more than ours.
    if (made) for (const [name, json] of Object.entries(made)) files[name] ??= JSON.stringify(json);
    else await onNotice('The exported folder has no tokenizer: the model came with none in a file.');
  }
  const template = model.prompt.chatTemplateSource;
  if (template !== null && tokenizer.chatTemplate === undefined) files['chat_template.jinja'] ??= template;
  if (model.preprocessorConfig) files['preprocessor_config.json'] ??= jsonText(model.preprocessorConfig);
  const text = await attempt(generationFile, () => weights.readText(generationFile));
  const before = text === undefined ? {} : ((await attempt(generationFile, async () => parseObject(text))) ?? {});
  files[generationFile] = jsonText(generationConfig(before, { model, tokenizer }));
  return files;
}

async function tokenizerFilesOf(
  { format, metadata }: Pick<OpenedWeights, 'format' | 'metadata'>,
  pieces: FileContent | undefined,
): Promise<TokenizerFiles | undefined> {
  if (pieces instanceof Uint8Array) return tokenizerFilesFromSentencePiece(pieces);
  return format === 'gguf' ? tokenizerFilesFromGguf(metadata) : undefined;
}

/** The source's settings, and where answers end here. */
function generationConfig(
  before: Readonly<Record<string, unknown>>,
  { model, tokenizer }: Pick<ExportedModel, 'model' | 'tokenizer'>,
): object {
  // Where this is set, Python takes all of it from config.json again.
  const { _from_model_config: _, ...settings } = before;
  const listed = [settings['eos_token_id'] ?? []].flat();
  const ends = [...listed, ...model.eosTokenIds, tokenizer.eosId, ...model.prompt.stopTokens(tokenizer)];
  return {
    bos_token_id: tokenizer.bosId,
    pad_token_id: tokenizer.padId,
    ...settings,
    eos_token_id: [...new Set(ends)],
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  const json = parseJson(text);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new TypeError('it holds no JSON object.');
  return json as Record<string, unknown>;
}

const jsonText = (json: object) => `${JSON.stringify(json, null, 2)}\n`;
