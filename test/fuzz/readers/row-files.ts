import { readRows } from '@lapidary/trainer';
import { bufferSource } from '@lapidary/weights';
import { fixtureBytes } from '../../support/safetensors-fixture.js';
import { brokenBytes, brokenNumbers } from '../byte-writer.js';
import type { Dice } from '../dice.js';
import { type FuzzReader, mustHold } from '../reader.js';

/** What pandas, pyarrow, fastparquet and datasets wrote. */
const written = [
  'pairs.csv',
  'pairs-crlf.csv',
  'pairs-bom.csv',
  'pairs.tsv',
  'pairs.json',
  'pairs-wrapped.json',
  'pairs-none.parquet',
  'pairs-snappy.parquet',
  'pairs-gzip.parquet',
  'pairs-zstd.parquet',
  'pairs-brotli.parquet',
  'pairs-lz4.parquet',
  'pairs-v2.parquet',
  'pairs-fastparquet.parquet',
  'chats.parquet',
  'pictures.parquet',
  'pairs.feather',
  'kinds.arrow',
  'kinds.feather',
  'saved/train/data-00000-of-00002.arrow',
];

/** Files of rows in the formats of tables, up to their values. */
export async function rowFilesReader(): Promise<FuzzReader> {
  const files = await Promise.all(
    written.map(async (name) => ({ name: name.replaceAll('/', '-'), bytes: await fixtureBytes(`rows/${name}`) })),
  );
  return {
    name: 'row-files',
    make(dice: Dice) {
      const { name, bytes } = dice.pick(files);
      return { [name]: brokenBytes(brokenNumbers(bytes, dice), dice) };
    },
    async read(given) {
      const [name = '', bytes = new Uint8Array()] = Object.entries(given)[0] ?? [];
      let last = 0;
      for await (const { line } of readRows(bufferSource(name, bytes))) {
        mustHold(Number.isSafeInteger(line) && line > last, 'its lines do not go up');
        last = line;
      }
    },
  };
}
