import { isQuantised } from '@lapidary/kernels';
import { parseJson, tokenizerToGguf, type GgufMetadata, type TokenizerOrigin } from '@lapidary/gemma';
import {
  castTensor,
  ggufLora,
  ggufModel,
  hfModelFolder,
  holdsNonFinite,
  mergedTensors,
  type GgufLoraType,
  type GgufQuant,
  type TensorData,
} from '@lapidary/weights';
import { NonFiniteParameterError } from '../../errors/errors.js';
import type { FileContent, FileStore } from '../../store/file-store.js';
import { pathForPictures, textPartOf, type OpenModel } from '../prepare/open-model.js';
import { ExportError } from './export-run.js';
import type { ExportSource } from './export-source.js';
import { weightFiles } from './exported-names.js';
import { filesBeside } from './files-beside.js';
import { writeFiles } from './write-files.js';

/** A form that others read, beside what a run ends with. */
export type WrittenForm =
  | {
      /** One model in Hugging Face's form, with what else such a folder has. */
      readonly to: 'merged';
      /** Of all tensors. Default: each as in the base, f32 where that has blocks. */
      readonly dtype?: 'f32' | 'f16' | 'bf16' | undefined;
      /** Most bytes of tensors in one file. Default: one file. */
      readonly shardBytes?: number | undefined;
    }
  | {
      /** One model as llama.cpp reads it, in a file of this name. */
      readonly to: 'gguf';
      readonly file: string;
      readonly quant: GgufQuant;
    }
  | {
      /** An adapter as llama.cpp reads it, in a file of this name. */
      readonly to: 'gguf-lora';
      readonly file: string;
      readonly type: GgufLoraType;
    };

/** What an export is: what the run ends with, or another form of it. */
export type ExportForm = { readonly to: 'result' } | WrittenForm;

/** @throws ExportError where there is something that would be written over, or be taken for a part of what is written */
export async function checkFree(out: FileStore, form: ExportForm): Promise<void> {
  const isTaken = 'file' in form ? (name: string) => name === form.file : (name: string) => weightFiles.test(name);
  const taken = (await out.list()).find(({ name }) => isTaken(name));
  if (taken === undefined) return;
  const other = 'file' in form ? 'file' : 'folder';
  throw new ExportError(`${out.location} holds ${taken.name} already: name another ${other}.`);
}

/**
 * Writes a form. On failure nothing of it is left.
 * @returns names of the files written
 * @throws ExportError, NonFiniteParameterError, AdapterError, ConfigError; what the base throws
 */
export async function writeForm(
  store: FileStore,
  source: ExportSource,
  form: WrittenForm,
  onNotice: (message: string) => unknown,
): Promise<string[]> {
  switch (form.to) {
    case 'merged':
      return writeFiles(store, await mergedFiles(source, form, onNotice));
    case 'gguf':
      return writeFiles(store, { [form.file]: await ggufFile(source, form, onNotice) });
    case 'gguf-lora': {
      if (source.adapter === null)
        throw new ExportError('The run trained the model itself, so there is no adapter: export it as gguf.');
      const name = generalName(form.file);
      return writeFiles(store, {
        [form.file]: await ggufLora(textPartOf(source.open).model, source.adapter, { ...form, name }),
      });
    }
  }
}

async function mergedFiles(
  source: ExportSource,
  form: Extract<WrittenForm, { to: 'merged' }>,
  onNotice: (message: string) => unknown,
): Promise<Record<string, FileContent>> {
  return { ...(await mergedModel(source, form)), ...(await filesBeside(source.open, onNotice)) };
}

/** config.json and weights of one model. */
export async function mergedModel(
  source: ExportSource,
  { dtype, shardBytes }: Omit<Extract<WrittenForm, { to: 'merged' }>, 'to'>,
): Promise<Record<string, FileContent>> {
  const { open } = source;
  const { format, metadata, files, passedOn, entries } = open.weights;
  const params = new Map(
    [...(await paramsOf(source))].map(([path, tensor]) => {
      const stored = entries.get(path)?.dtype ?? 'f32';
      return [path, castTensor(path, tensor, dtype ?? (isQuantised(stored) ? 'f32' : stored))];
    }),
  );
  return hfModelFolder(open.model, params, {
    dtype,
    shardBytes,
    ...(format === 'safetensors' && { base: { config: metadata, files, passedOn } }),
  });
}

async function ggufFile(
  source: ExportSource,
  { quant, file }: Extract<WrittenForm, { to: 'gguf' }>,
  onNotice: (message: string) => unknown,
): Promise<FileContent> {
  const { open } = source;
  if (open.model.textPart !== undefined) {
    const { updates, params } = source.adapter ?? {};
    const seeing = pathForPictures(open.model, [...(updates?.keys() ?? []), ...(params?.keys() ?? [])]);
    if (seeing !== undefined)
      throw new ExportError(
        `The adapter changes ${seeing}, for which a GGUF of the text model has no place: export it merged.`,
      );
    await onNotice(
      'The GGUF holds the text model alone: llama.cpp reads a vision tower from a file of its own (mmproj).',
    );
    return ggufFile({ ...source, open: textPartOf(open) }, { to: 'gguf', quant, file }, onNotice);
  }
  const { pieces, fallbacks } = await ggufModel(open.model, await paramsOf(source), {
    quant,
    name: generalName(file),
    tokenizer: () => tokenizerMetadata(open),
  });
  if (fallbacks.length > 0)
    await onNotice(
      `${fallbacks.length} tensors have rows that are no whole blocks of ${quant} and are f16: ${fallbacks.slice(0, 3).join(', ')}${fallbacks.length > 3 ? ', …' : ''}.`,
    );
  return pieces;
}

/** `general.name`: nothing of where the file lies. */
const generalName = (file: string) => file.replace(/\.gguf$/i, '');

/** Every parameter of the model that is written, each checked when its bytes are asked for. */
async function paramsOf({ open, adapter, params }: ExportSource): Promise<Map<string, TensorData>> {
  const { weights } = open;
  // What concerns files as wholes, such as a second table of words, is checked by loads only.
  await weights.load(new Map(), { write: () => undefined }, { allowUnused: /(?:)/ });
  const tensors = adapter === null ? params! : mergedTensors(weights, adapter);
  return new Map([...tensors].map(([path, tensor]) => [path, finiteTensor(path, tensor)]));
}

function finiteTensor(path: string, { dtype, shape, bytes }: TensorData): TensorData {
  async function* checked(): AsyncGenerator<Uint8Array> {
    for await (const piece of bytes instanceof Uint8Array ? [bytes] : bytes()) {
      if (holdsNonFinite(dtype, piece)) throw new NonFiniteParameterError({ path });
      yield piece;
    }
  }
  return { dtype, shape, bytes: checked };
}

/** @throws ExportError where the model came with no tokenizer in a file, TokenizerError for one that a GGUF cannot hold */
async function tokenizerMetadata({ weights, model, tokenizer }: OpenModel): Promise<GgufMetadata> {
  const [endOfTurn] = model.prompt.stopTokens(tokenizer);
  return tokenizerToGguf(await tokenizerOrigin(weights, model), {
    form: model.prompt.ggufTokenizer,
    vocabSize: model.vocabSize,
    tokenizer,
    endOfTurn,
    chatTemplate: tokenizer.chatTemplate ?? model.prompt.chatTemplateSource ?? undefined,
  });
}

async function tokenizerOrigin(
  weights: Pick<OpenModel['weights'], 'format' | 'metadata' | 'readText' | 'readBytes'>,
  { tokenizerFiles }: Pick<OpenModel['model'], 'tokenizerFiles'>,
): Promise<TokenizerOrigin> {
  const text = await weights.readText('tokenizer.json');
  if (text !== undefined) return { tokenizerJson: parseJson(text) };
  if (weights.format === 'gguf') return { gguf: weights.metadata };
  for (const name of tokenizerFiles) {
    const sentencePiece = await weights.readBytes(name);
    if (sentencePiece !== undefined) return { sentencePiece };
  }
  throw new ExportError('The model came with no tokenizer in a file, which a GGUF must hold.');
}
