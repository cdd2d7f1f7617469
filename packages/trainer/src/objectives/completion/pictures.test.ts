import { expect, it } from 'vitest';
import { fixtureBytes } from '../../../../../test/support/safetensors-fixture.js';
import { Pictures } from './pictures.js';

it('keeps pictures apart that files in two folders name alike', async () => {
  const files: Readonly<Record<string, string>> = {
    'a/rows.jsonl': 'images/grey.png',
    'b/rows.jsonl': 'images/photo.jpg',
  };
  const read: string[] = [];
  const pictures = new Pictures({
    prepare: ({ width, height }) => Float32Array.of(width, height),
    file: 'rows',
    read: async (_, { file }) => {
      read.push(file);
      return fixtureBytes(files[file]!);
    },
  });
  const sizeOf = async (file: string) =>
    Array.from(await pictures.patchesOf({ prompt: 'p', completion: 'c', line: 1, file, images: ['cat.png'] }));
  const [a, b] = [await sizeOf('a/rows.jsonl'), await sizeOf('b/rows.jsonl')];
  expect(a).not.toEqual(b);
  // Each is read once.
  expect(await sizeOf('a/rows.jsonl')).toEqual(a);
  expect(await sizeOf('b/rows.jsonl')).toEqual(b);
  expect(read).toEqual(['a/rows.jsonl', 'b/rows.jsonl']);
});
