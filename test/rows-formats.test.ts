// Files of rows that pandas, pyarrow, fastparquet and datasets wrote, and what those read of them again.
import { JsonFloat } from '@lapidary/gemma';
import { DatasetError, readRows } from '@lapidary/trainer';
import { bufferSource, type ByteSource } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';
import { fixtureBytes, fixtureJson } from './support/safetensors-fixture.js';

const expected = (await fixtureJson('rows/expected.json')) as Readonly<Record<string, readonly object[]>>;

async function allOf(source: ByteSource | Blob, name?: string) {
  const rows: { value: unknown; line: number }[] = [];
  for await (const row of readRows(source, name)) rows.push(row);
  return rows;
}
const valuesOf = async (source: ByteSource) => (await allOf(source)).map(({ value }) => value);
const fileOf = async (name: string) => bufferSource(name, await fixtureBytes(`rows/${name}`));
const textOf = (name: string, text: string) => bufferSource(name, new TextEncoder().encode(text));

describe('what others wrote is read as they read it', () => {
  const names = Object.keys(expected).filter((name) => !name.startsWith('saved/') && name !== 'pictures.parquet');
  it.each(names)('%s', async (name) => {
    // Floats of JSON are marked as such.
    const plain: unknown = JSON.parse(JSON.stringify(await valuesOf(await fileOf(name))));
    expect(plain).toEqual(expected[name]);
  });

  it('whole numbers that JSON writes as floats, in JSONL and lists, as floats: templates write them so', async () => {
    const row = '{"prompt":{"a":1.0,"b":1,"c":"2.0"}}';
    const values = [{ prompt: { a: new JsonFloat(1), b: 1, c: '2.0' } }];
    expect(await valuesOf(textOf('a.jsonl', row))).toEqual(values);
    expect(await valuesOf(textOf('a.json', `[${row}]`))).toEqual(values);
  });

  it('two shards and one that save_to_disk left', async () => {
    const shards = ['data-00000-of-00002.arrow', 'data-00001-of-00002.arrow'].map((shard) => `saved/train/${shard}`);
    const rows = await Promise.all(shards.map(async (shard) => valuesOf(await fileOf(shard))));
    expect(rows.flat()).toEqual(expected['saved/train']);
    expect(await valuesOf(await fileOf('saved/validation/data-00000-of-00001.arrow'))).toEqual(
      expected['saved/validation'],
    );
  });

  it('pictures as their bytes', async () => {
    const hex = (bytes: unknown) =>
      Array.from(bytes as Uint8Array, (byte) => byte.toString(16).padStart(2, '0')).join('');
    const rows = (await valuesOf(await fileOf('pictures.parquet'))) as { image: unknown }[];
    expect(rows.map((row) => ({ ...row, image: hex(row.image) }))).toEqual(expected['pictures.parquet']);
  });

  it('the first bytes count more than the name', async () => {
    const bytes = await fixtureBytes('rows/pairs-zstd.parquet');
    expect(await valuesOf(bufferSource('rows.jsonl', bytes))).toEqual(expected['pairs.jsonl']);
    expect((await allOf(new Blob([bytes.slice()]), 'rows')).map(({ value }) => value)).toEqual(expected['pairs.jsonl']);
  });
});

describe('lines and numbers', () => {
  it('of JSONL and of tables are those of the file, of lists they count from 1', async () => {
    const linesOf = async (source: ByteSource) => (await allOf(source)).map(({ line }) => line);
    expect(await linesOf(textOf('a.jsonl', '\n{"text":"a"}\r\n\n  \n{"text":"b"}'))).toEqual([2, 5]);
    expect(await linesOf(textOf('a.csv', 'text,x\n"a\nb",1\n\n"c",2\n'))).toEqual([2, 5]);
    expect(await linesOf(textOf('a.json', '[\n\n{"text":"a"},{"text":"b"}]'))).toEqual([1, 2]);
    expect(await linesOf(await fileOf('pairs-none.parquet'))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('a file is read in pieces, and rows and characters may lie on their borders', async () => {
    const long = `"${'é水👋,'.repeat(40_000)}`;
    const rows = Array.from({ length: 24 }, (_, i) => ({ prompt: `${i},\n`, completion: `${long}${i}` }));
    const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
    const csv = rows.map(({ prompt, completion }) => `${quoted(prompt)},${quoted(completion)}\r\n`).join('');
    const jsonl = rows.map((row) => JSON.stringify(row)).join('\n');
    expect(jsonl.length).toBeGreaterThan(4e6);
    expect(await valuesOf(textOf('a.jsonl', jsonl))).toEqual(rows);
    expect(await valuesOf(textOf('a.csv', `prompt,completion\r\n${csv}`))).toEqual(rows);
    const broken = textOf('a.csv', `prompt,completion\r\n${csv}"x`);
    await expect(allOf(broken)).rejects.toThrow(/^a\.csv:50: .*never closed/);
  });
});

describe('a text without a telling name is what it begins with', () => {
  const row = { prompt: 'a', completion: 'b' };
  it.each([
    ['[{"prompt":"a","completion":"b"}]'],
    ['{"prompt":"a","completion":"b"}'],
    ['{"prompt":"a","completion":"b"}\n'],
    ['{\n"prompt":"a",\n"completion":"b"\n}'],
    ['{"rows":[{"prompt":"a","completion":"b"}]}'],
    ['\ufeffprompt,completion\na,b'],
    ['prompt\tcompletion\r\na\tb\r\n'],
  ])('%j', async (text) => expect(await valuesOf(textOf('pasted rows', text))).toEqual([row]));
});

describe('what cannot be right is refused with its place', () => {
  it.each<[string, string, RegExp]>([
    [
      'a.csv',
      'prompt,completion\na,b\na,b,c\n',
      /^a\.csv:3: this row has 3 cells, the line of column names 2 \(prompt, completion\)/,
    ],
    ['a.csv', 'prompt,completion\n"a"x,b\n', /^a\.csv:2: text follows the closing quote/],
    ['a.csv', 'prompt,completion\na,b\n"a,b\nc,d\n', /^a\.csv:3: .*never closed/],
    ['a.csv', 'text,text\na,b\n', /^a\.csv:1: two columns are called 'text'/],
    ['a.jsonl', '{"text":"a"}\n{"text":}\n', /^a\.jsonl:2:\d+: this line is no valid JSON/],
    ['a.json', '[{"text":"a"},\n{"text":}]', /^a\.json(:2:\d+)?: this is no valid JSON/],
    ['a.json', '{"train":[],"test":[]}', /^a\.json: which of the lists 'train', 'test'/],
    ['a.json', '{"version":1}', /^a\.json: .*this object has: version/],
    ['a.json', '7', /^a\.json: a JSON file must hold a list of rows/],
    ['a.parquet', 'PAR1 no more', /^a\.parquet: this Parquet file cannot be read/],
    ['a.parquet', 'text\na', /^a\.parquet: this is no parquet file: it does not begin as one/],
    ['a.arrow', '', /^a\.arrow: this is no arrow file: it is empty/],
    ['a.xlsx', 'PK\u0003\u0004', /^a\.xlsx: .*save the table as CSV/],
    ['a.jsonl.gz', '\u001f\ufffd', /^a\.jsonl\.gz:1/],
  ])('%s: %j', async (name, text, message) => {
    await expect(allOf(textOf(name, text))).rejects.toThrow(message);
    await expect(allOf(textOf(name, text))).rejects.toBeInstanceOf(DatasetError);
  });

  it.each<[string, number[], RegExp]>([
    ['a.jsonl.gz', [0x1f, 0x8b, 8], /^a\.jsonl\.gz: .*packed with gzip: unpack it/],
    ['a.csv', [0x61, 0x0a, 0xe9, 0x0a], /^a\.csv:2: .*UTF-8/],
  ])('%s: %j', async (name, bytes, message) =>
    expect(allOf(bufferSource(name, Uint8Array.from(bytes)))).rejects.toThrow(message),
  );

  it('a packed Arrow file, which the library does not unpack', async () => {
    await expect(allOf(await fileOf('pairs-lz4.feather'))).rejects.toThrow(
      /^pairs-lz4\.feather: this Arrow file cannot be read: it is packed.* as Parquet$/,
    );
  });

  it('files cut short', async () => {
    for (const name of ['pairs-zstd.parquet', 'pairs.feather', 'saved/validation/data-00000-of-00001.arrow']) {
      const bytes = await fixtureBytes(`rows/${name}`);
      const cut = allOf(bufferSource(name, bytes.slice(0, bytes.length >> 1)));
      await expect(cut, name).rejects.toBeInstanceOf(DatasetError);
    }
  });
});

describe('damaged files of tables', () => {
  const change = async (name: string, alter: (bytes: Uint8Array, view: DataView) => Uint8Array | undefined) => {
    const bytes = (await fixtureBytes(`rows/${name}`)).slice();
    return bufferSource(name, alter(bytes, new DataView(bytes.buffer)) ?? bytes);
  };
  const joined = (...parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
  /** Where bytes stand for the `nth` time. */
  const find = (bytes: Uint8Array, wanted: readonly number[], nth = 1): number => {
    const at = bytes.findIndex((_, i) => wanted.every((byte, j) => bytes[i + j] === byte) && --nth === 0);
    if (at < 0) throw new Error('no such bytes');
    return at;
  };
  const codes = (text: string) => [...new TextEncoder().encode(text)];

  it.each<[string, string, Parameters<typeof change>[1], RegExp]>([
    ['no end', 'kinds.arrow', (b) => b.slice(0, -8), /it was cut short, or its writer was not closed/],
    ['two streams', 'kinds.arrow', (b) => joined(b, b), /\d+ bytes follow its end/],
    ['metadata longer than the file', 'kinds.arrow', (_, v) => v.setInt32(4, 1e6, true) as undefined, /states 1000000/],
    ['metadata of less than nothing', 'kinds.arrow', (_, v) => v.setInt32(4, -8, true) as undefined, /states -8 bytes/],
    [
      'a message of before 0.15',
      'kinds.feather',
      (_, v) => v.setInt32(8, 512, true) as undefined,
      /no message of Arrow 0\.15/,
    ],
    ['no magic at the end', 'kinds.feather', (b) => b.slice(0, -1), /does not end as such a file/],
    [
      'a footer longer than the file',
      'kinds.feather',
      (b, v) => v.setInt32(b.length - 10, 1e6, true) as undefined,
      /its footer states/,
    ],
    [
      'a second schema',
      'kinds.arrow',
      (b, v) => joined(b.slice(0, 8 + v.getInt32(4, true)), b),
      /message 1 is another schema/,
    ],
    [
      'a text that is no UTF-8',
      'kinds.arrow',
      (b) => void b.set([0xff], find(b, codes('Grüße'), 2)),
      /column 'text' has a text that is no UTF-8/,
    ],
    [
      'two columns of one name',
      'kinds.arrow',
      (b) => void b.set(codes('share'), find(b, codes('count'))),
      /two columns are called 'share'/,
    ],
    [
      'a run of more values than the page has',
      'pairs-none.parquet',
      (b) => void b.set([0xfe, 0x7f], find(b, [2, 0, 0, 0, 8, 1]) + 4),
      /a page of column 'prompt' states more values than it holds/,
    ],
    [
      'a column that the schema does not have',
      'pairs-none.parquet',
      (b) => void b.set(codes('promqt'), find(b, codes('prompt'), 2)),
      /prom[pq]t/,
    ],
  ])('%s: %s', async (_, name, alter, message) => {
    const reading = allOf(await change(name, alter));
    await expect(reading).rejects.toBeInstanceOf(DatasetError);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(name);
  });

  it('a number of rows or values that cannot be, wherever an Arrow file states one', async () => {
    const bytes = await fixtureBytes('rows/kinds.arrow');
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    // Behind the schema and a dictionary.
    const batch = 1064;
    const metadata = view.getInt32(batch + 4, true);
    let refused = 0;
    for (let at = batch + 8; at + 8 <= batch + 8 + metadata; at += 4) {
      if (view.getBigInt64(at, true) !== 2n) continue;
      const source = await change('kinds.arrow', (_, v) => v.setBigInt64(at, 2n ** 40n, true) as undefined);
      await expect(allOf(source), String(at)).rejects.toBeInstanceOf(DatasetError);
      refused++;
    }
    // The batch's, and those of its columns.
    expect(refused).toBeGreaterThan(10);
  });

  it('any one byte of a Parquet file: read or refused, with no promise left behind', async () => {
    const bytes = await fixtureBytes('rows/pairs-gzip.parquet');
    for (let at = 4; at < bytes.length; at += 3)
      await allOf(await change('pairs-gzip.parquet', (b) => void b.set([(b[at] ?? 0) ^ 0x5d], at))).catch((error) =>
        expect(error).toBeInstanceOf(DatasetError),
      );
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
});
