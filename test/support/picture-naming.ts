// A tiny PaliGemma that pictures can be named with: its files, and rows of some pictures.
import { bufferSource, type ByteSource } from '@lapidary/weights';
import { modelSources } from './fixture-sources.js';
import { fixtureBytes, fixtureJson } from './safetensors-fixture.js';

/** The tiny model's 160 words, and the first of the tokenizer's: enough for texts of bytes. */
export async function pictureNamingFiles(): Promise<readonly ByteSource[]> {
  const tokenizer = await fixtureJson<{
    model: { vocab: Record<string, number>; merges: unknown[] };
    added_tokens: { id: number }[];
  }>('tokenizer/tokenizer.json');
  const words = 140;
  const letters = Array.from({ length: 96 }, (_, i) => String.fromCharCode(32 + i));
  tokenizer.model.vocab = Object.fromEntries(
    ['<pad>', '<eos>', '<bos>', '<unk>', ...letters, '▁', '\n'].slice(0, words).map((word, id) => [word, id]),
  );
  tokenizer.model.merges = [];
  tokenizer.added_tokens = tokenizer.added_tokens.filter(({ id }) => id < 4);
  return [
    ...(await modelSources('paligemma1-tiny')),
    bufferSource('tokenizer.json', new TextEncoder().encode(JSON.stringify(tokenizer))),
  ];
}

/** Pictures with their names. */
export async function namedPictures(): Promise<{ file: string; image: Uint8Array; completion: string }[]> {
  const names = { 'rgb.png': 'red', 'grey.png': 'grey', 'palette.png': 'pal', 'tiny.png': 'dot' };
  return Promise.all(
    Object.entries(names).map(async ([file, completion]) => ({
      file,
      image: await fixtureBytes(`images/${file}`),
      completion,
    })),
  );
}
