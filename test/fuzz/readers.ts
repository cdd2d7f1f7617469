import type { FuzzReader } from './reader.js';
import { adapterReader } from './readers/adapter.js';
import { chatTemplateReader } from './readers/chat-template.js';
import { checkpointReader } from './readers/checkpoint.js';
import { configReader } from './readers/configs.js';
import { ggufReader } from './readers/gguf.js';
import { npzReader } from './readers/npz.js';
import { pictureReader } from './readers/picture.js';
import { rowFilesReader } from './readers/row-files.js';
import { rowFoldersReader } from './readers/row-folders.js';
import { rowsReader } from './readers/rows.js';
import { runFilesReader } from './readers/run-files.js';
import { safetensorsReader } from './readers/safetensors.js';
import { sentencePieceReader } from './readers/sentencepiece.js';
import { tokenizerGgufReader } from './readers/tokenizer-gguf.js';
import { tokenizerJsonReader } from './readers/tokenizer-json.js';

/** Every reader of bytes that others wrote. To add one is to add a file in `readers/`, and a line here. */
export const readers: Readonly<Record<string, () => FuzzReader | Promise<FuzzReader>>> = {
  safetensors: () => safetensorsReader,
  gguf: () => ggufReader,
  npz: () => npzReader,
  checkpoint: checkpointReader,
  adapter: adapterReader,
  config: () => configReader,
  'tokenizer-json': () => tokenizerJsonReader,
  sentencepiece: () => sentencePieceReader,
  'tokenizer-gguf': () => tokenizerGgufReader,
  'chat-template': () => chatTemplateReader,
  rows: rowsReader,
  'row-files': rowFilesReader,
  'row-folders': () => rowFoldersReader,
  picture: pictureReader,
  'run-files': () => runFilesReader,
};
