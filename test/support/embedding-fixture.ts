import { bufferSource, type ByteSource } from '@lapidary/weights';
import { fixtureBytes } from './safetensors-fixture.js';

const always = [
  'config.json',
  'config_sentence_transformers.json',
  'model.safetensors',
  'modules.json',
  'sentence_bert_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  '1_Pooling/config.json',
];
const common = [...always, '2_Dense/config.json', '2_Dense/model.safetensors'];
const second = [...always, '2_Normalize/config.json'];

/** Files of the folders in test/fixtures/embeddings. */
export const embeddingFolders: Readonly<Record<string, readonly string[]>> = {
  odd: [...common, '3_Dense/config.json', '3_Dense/model.safetensors', '4_Normalize/config.json'],
  old: common,
  second,
  'second-whole': second,
};

/** A folder of sentence-transformers as files at hand; some of them changed, or left out where they are undefined. */
export async function embeddingFiles(
  name: string,
  changed: Readonly<Record<string, string | Uint8Array | undefined>> = {},
): Promise<ByteSource[]> {
  const files = new Map<string, string | Uint8Array | undefined>();
  for (const file of embeddingFolders[name]!) files.set(file, await fixtureBytes(`embeddings/${name}/${file}`));
  for (const [file, content] of Object.entries(changed)) files.set(file, content);
  return [...files].flatMap(([file, content]) =>
    content === undefined
      ? []
      : [bufferSource(file, typeof content === 'string' ? new TextEncoder().encode(content) : content)],
  );
}
