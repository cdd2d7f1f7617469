import { bufferSource, modelWeightLoader } from '@lapidary/weights';
import { openModel } from '@lapidary/trainer';
import { filesBeside } from '../../packages/trainer/src/run/export/files-beside.js';
import { fixtureBytes } from './safetensors-fixture.js';

export interface ExportCase {
  readonly name: string;
  /** Weights, and the tokenizer where it is apart. */
  readonly from: readonly string[];
  /** Of the metadata. */
  readonly without?: string;
}

/** Models whose tokenizer is in no file of Hugging Face's; transformers has judged what we export of it: test/fixtures/exports/<name>. */
export const exportCases: readonly ExportCase[] = [
  { name: 'gguf', from: ['gguf/gemma3-tiny-q8_0.gguf'] },
  { name: 'gguf-no-template', from: ['gguf/gemma3-tiny-q8_0.gguf'], without: 'tokenizer.chat_template' },
  { name: 'sentencepiece', from: ['npz/paligemma1-tiny.npz', 'tokenizer-paligemma/tokenizer.model'] },
];

/** What an export has beside config.json and weights, and config.json, as text; SentencePiece's own file is left out. */
export async function exportedBeside({ from, without = '' }: ExportCase): Promise<Record<string, string>> {
  const files = await Promise.all(
    from.map(async (path) => bufferSource(path.split('/').pop()!, await fixtureBytes(path))),
  );
  const [weights, ...tokenizer] = files;
  const loader = modelWeightLoader({ from: weights!, ...(tokenizer.length > 0 && { tokenizer }) });
  const open = await openModel({
    open: async () => {
      const opened = await loader.open();
      const { [without]: _, ...metadata } = opened.metadata;
      return { ...opened, metadata };
    },
  });
  try {
    const notices: string[] = [];
    const beside = await filesBeside(open, (notice) => notices.push(notice));
    if (notices.length > 0) throw new Error(notices.join('\n'));
    const texts = Object.entries(beside).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
    return { ...Object.fromEntries(texts), 'config.json': `${JSON.stringify(open.model.toHf(), null, 2)}\n` };
  } finally {
    await open.weights.close();
  }
}
