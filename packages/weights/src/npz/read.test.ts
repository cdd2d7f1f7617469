import { describe, expect, it } from 'vitest';
import { WeightFileError } from '../errors.js';
import { bufferSource, type ByteSource } from '../source/byte-source.js';
import { seeded } from '../testing/bytes.js';
import { concat, npy, npyHeader, sparseSource, zip, type ZipPart, zip64Extra, zipPieces } from '../testing/npz.js';
import { openNpz } from './open.js';

const f4 = (shape: string, data: Uint8Array | number) => npy(npyHeader("'<f4'", shape), data);
const part = (name: string, bytes = f4('(2,)', 8), more: Partial<ZipPart> = {}): ZipPart => ({ name, bytes, ...more });
/** One array named `a`. */
const one = (bytes: Uint8Array, more: Partial<ZipPart> = {}) => zip([part('a.npy', bytes, more)]);
const header = (text: string, data = 8) => one(npy(text, data));
const open = (bytes: Uint8Array) => openNpz(bufferSource('x.npz', bytes));

async function outcome(bytes: Uint8Array): Promise<'opened' | 'refused'> {
  try {
    await open(bytes);
    return 'opened';
  } catch (error) {
    if (!(error instanceof WeightFileError)) throw error;
    return 'refused';
  }
}

/** The zip of one array behind three bytes of nobody's, its positions as they then are. */
function moved(zip: Uint8Array): Uint8Array {
  const bytes = concat(Uint8Array.of(1, 2, 3), zip);
  const view = new DataView(bytes.buffer);
  const start = view.getUint32(bytes.length - 6, true) + 3;
  view.setUint32(bytes.length - 6, start, true);
  view.setUint32(start + 42, 3, true);
  return bytes;
}

describe('openNpz', () => {
  it('reads names, types, shapes and where the values are; also scalars and empty arrays', async () => {
    const values = Uint8Array.from({ length: 12 }, (_, i) => i);
    const file = zip(
      [
        part('params/llm/kernel.npy', f4('(3, 1)', values)),
        part('scalar.npy', npy(npyHeader("'<f2'", '()'), Uint8Array.of(1, 2)), { zip64: true }),
        part('empty.npy', npy(npyHeader("'|V2'", '(0, 5)'), 0)),
        part('größe.npy.npy', npy(npyHeader("'<V2'", '(1,)'), 2)),
      ],
      { comment: 'PK\x05\x06 as a comment' },
    );
    const { tensors } = await open(file);
    expect([...tensors.keys()]).toEqual(['params/llm/kernel', 'scalar', 'empty', 'größe.npy']);
    const kernel = tensors.get('params/llm/kernel')!;
    expect(kernel).toMatchObject({ name: 'params/llm/kernel', type: 'F32', shape: [3, 1], byteLength: 12 });
    expect(await kernel.source.read(kernel.offset, kernel.byteLength)).toEqual(values);
    const scalar = tensors.get('scalar')!;
    expect(scalar).toMatchObject({ type: 'F16', shape: [], byteLength: 2 });
    expect(file.subarray(scalar.offset, scalar.offset + 2)).toEqual(Uint8Array.of(1, 2));
    expect(tensors.get('empty')).toMatchObject({ type: 'BF16', shape: [0, 5], byteLength: 0 });
    expect(tensors.get('größe.npy')).toMatchObject({ type: 'BF16', shape: [1] });
    expect((await open(zip([]))).tensors.size).toBe(0);
  });

  it.each([
    ['|b1', 'BOOL', 1],
    ['|u1', 'U8', 1],
    ['|i1', 'I8', 1],
    ['<u2', 'U16', 2],
    ['<i2', 'I16', 2],
    ['<u4', 'U32', 4],
    ['<i4', 'I32', 4],
    ['<u8', 'U64', 8],
    ['<i8', 'I64', 8],
    ['<f8', 'F64', 8],
  ])('names %s %s', async (descr, type, bytes) => {
    const { tensors } = await open(one(npy(npyHeader(`'${descr}'`, '(3,)'), 3 * bytes)));
    expect(tensors.get('a')).toMatchObject({ type, byteLength: 3 * bytes });
  });

  it.each<[string, Uint8Array]>([
    ['version 2', one(npy(npyHeader("'<f4'", '(2,)'), 8, { version: [2, 0] }))],
    ['version 3', one(npy(npyHeader("'<f4'", '(2,)'), 8, { version: [3, 0] }))],
    ['a long header', header(`{'descr': '<f4', 'fortran_order': False, 'shape': (2,)${' '.repeat(5000)}}\n`)],
    [
      'another order, double quotes, no blanks',
      header(`{"shape":(2),"fortran_order":False,"descr":"<f4"}`.replace('(2)', '(2,)')),
    ],
    [
      'a long name and extra field',
      zip([part(`${'a/'.repeat(300)}a.npy`, undefined, { local: { extra: new Uint8Array(900) } })]),
    ],
    [
      'sizes behind the data, where the writer could not go back',
      zip([
        part('a.npy', undefined, {
          local: { flags: 8, crc: 0, size: 0, compressed: 0 },
          central: { flags: 8 },
          after: new Uint8Array(16),
        }),
        part('b.npy', undefined, {
          zip64: true,
          local: { flags: 8, crc: 0, extra: zip64Extra(0, 0) },
          central: { flags: 8 },
          after: new Uint8Array(24),
        }),
      ]),
    ],
    ['a ZIP64 record', zip([part('a.npy', undefined, { zip64: true })], { zip64: {} })],
    [
      'a ZIP64 record beside a full end record',
      zip([part('a.npy')], { zip64: {}, end: { entries: 1, entriesHere: 1 } }),
    ],
  ])('reads %s', async (_, bytes) => {
    const { tensors } = await open(bytes);
    for (const tensor of tensors.values()) expect(tensor).toMatchObject({ type: 'F32', shape: [2], byteLength: 8 });
    expect(tensors.size).toBeGreaterThan(0);
  });

  it('reads a file of 6 GiB by its headers', async () => {
    const wide = 5 * 2 ** 30;
    const source = sparseSource(
      'x.npz',
      zipPieces(
        [
          part('big.npy', f4(`(${wide / 4},)`, 0), { blank: wide, zip64: true }),
          part('late.npy', f4('(2,)', Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2)), { zip64: true }),
          part('later.npy', f4(`(${2 ** 28},)`, 0), {
            blank: 2 ** 30,
            zip64: true,
            // Only what does not fit moves into the ZIP64 field.
            central: { size: 2 ** 30 + 128, compressed: 2 ** 30 + 128, extra: zip64Extra(wide + 379) },
          }),
        ],
        { zip64: {} },
      ),
    );
    const { tensors } = await openNpz(source);
    expect(tensors.get('big')).toMatchObject({ byteLength: wide });
    const late = tensors.get('late')!;
    expect(late.offset).toBeGreaterThan(wide);
    expect(await source.read(late.offset, 8)).toEqual(Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2));
    const opening = source.reads.slice(0, -1);
    expect(opening).toHaveLength(4);
    expect(opening.reduce((sum, [, length]) => sum + length, 0)).toBeLessThan(70_000);
  });

  it('reads a directory that is longer than the piece at the end', async () => {
    const parts = Array.from({ length: 1000 }, (_, i) => part(`${'layer/'.repeat(15)}${i}.npy`));
    const source = sparseSource('x.npz', zipPieces(parts));
    expect((await openNpz(source)).tensors.size).toBe(1000);
    expect(source.reads).toHaveLength(1002);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /no \.npz file/],
    ['an error page', new TextEncoder().encode('<!doctype html>'), /byte 0: it is no \.npz file.*error page/],
    ['the beginning of a zip', one(f4('(2,)', 8)).slice(0, 100), /truncated: download it again/],
    ['bytes after the end', concat(one(f4('(2,)', 8)), new Uint8Array(9)), /truncated: download it again/],
    ['bytes before the start', concat(new Uint8Array(9), one(f4('(2,)', 8))), /something was put before it/],
    ['a split zip', zip([part('a.npy')], { end: { disk: 1 } }), /split zip/],
    ['a split zip by its counts', zip([part('a.npy')], { end: { entries: 2 } }), /split zip/],
    ['an array on another disk', one(f4('(2,)', 8), { central: { disk: 3 } }), /tensor a, byte \d+: .*split zip/],
    ['a directory beyond the end', zip([part('a.npy')], { end: { start: 2 ** 31 } }), /must end at/],
    ['an absurd directory', zip([part('a.npy')], { end: { size: 2 ** 31 } }), /at most 100000 in 67108864/],
    ['more files than fit', zip([part('a.npy')], { end: { entries: 9, entriesHere: 9 } }), /9 files in \d+ bytes/],
    [
      'fewer files than there are',
      zip([part('a.npy'), part('b.npy')], { end: { entries: 1, entriesHere: 1 } }),
      /no entry/,
    ],
    ['a missing ZIP64 record', zip([part('a.npy')], { end: { start: 0xffffffff } }), /ZIP64 record that is not there/],
    ['a ZIP64 locator astray', zip([part('a.npy')], { zip64: {}, locator: { at: 3 } }), /not where its locator says/],
    ['a ZIP64 record of another length', zip([part('a.npy')], { zip64: { length: 45n } }), /unknown length/],
    ['a split ZIP64', zip([part('a.npy')], { zip64: { entriesHere: 0 } }), /split zip/],
    ['many ZIP64 disks', zip([part('a.npy')], { zip64: {}, locator: { disks: 2 } }), /split zip/],
    ['an unsafe position', zip([part('a.npy')], { zip64: { wideStart: 2n ** 60n } }), /1152921504606846976 is absurd/],
    [
      'an absurd ZIP64 count',
      zip([part('a.npy')], { zip64: { entries: 2 ** 50, entriesHere: 2 ** 50 } }),
      /at most 100000/,
    ],
    ['ZIP64 that disagrees', zip([part('a.npy')], { zip64: {}, end: { entries: 7 } }), /ZIP64 record disagree/],
    ['a damaged directory', one(f4('(2,)', 8), { central: { signature: 1 } }), /entry 1 of 1 of its directory/],
    ['a name beyond the directory', one(f4('(2,)', 8), { central: { nameLength: 999 } }), /cut short or damaged/],
    [
      'deflate',
      one(f4('(2,)', 8), { central: { method: 8 } }),
      /tensor a, .*numpy\.savez, not numpy\.savez_compressed/,
    ],
    ['deflate in the local header', one(f4('(2,)', 8), { local: { method: 8 } }), /not numpy\.savez_compressed/],
    ['another method', one(f4('(2,)', 8), { central: { method: 93 } }), /method 93/],
    ['encryption', one(f4('(2,)', 8), { central: { flags: 1 } }), /encrypted/],
    ['encryption in the local header', one(f4('(2,)', 8), { local: { flags: 1 } }), /encrypted/],
    ['a masked directory', one(f4('(2,)', 8), { central: { flags: 1 << 13 } }), /encrypted/],
    ['a patch', one(f4('(2,)', 8), { central: { flags: 1 << 5 } }), /patch/],
    ['two sizes', one(f4('(2,)', 8), { central: { compressed: 9 } }), /said to take 9 bytes for 136/],
    [
      'an array beyond the end',
      one(f4('(2,)', 8), { central: { size: 999, compressed: 999 } }),
      /truncated or corrupt/,
    ],
    ['a position beyond the end', one(f4('(2,)', 8), { central: { offset: 999 } }), /from 999 on/],
    ['a position astray', one(f4('(2,)', 8), { central: { offset: 3 } }), /no local header where/],
    ['a version of zips that there is not', one(f4('(2,)', 8), { central: { version: 255 } }), /needs version 25\.5/],
    ['bytes before the first array', moved(one(f4('(2,)', 8))), /first 3 bytes belong to no array/],
    ['another local header', one(f4('(2,)', 8), { local: { signature: 5 } }), /no local header where/],
    ['another local name', one(f4('(2,)', 8), { local: { name: 'b.npy' } }), /local header says "b"/],
    ['another local size', one(f4('(2,)', 8), { local: { size: 9 } }), /local header says "a" with 9 bytes/],
    ['another local checksum', one(f4('(2,)', 8), { local: { crc: 9 } }), /another checksum/],
    [
      'zeros without a descriptor',
      one(f4('(2,)', 8), { local: { size: 0, compressed: 0, crc: 0 } }),
      /local header says/,
    ],
    [
      'data that reaches into the directory',
      one(f4('(2,)', 8).slice(0, 125), {
        local: { size: 136, compressed: 136, extra: new Uint8Array(9) },
        central: { size: 136, compressed: 136 },
      }),
      /tensor a, byte 0: its 136 bytes reach into the directory at 169/,
    ],
    [
      'a local header into the directory',
      one(f4('(2,)', 8)).fill(0xff, 28, 30),
      /headers do not end before the directory/,
    ],
    [
      'no ZIP64 sizes',
      one(f4('(2,)', 8), { zip64: true, central: { extra: new Uint8Array(0) } }),
      /ZIP64 size .* missing/,
    ],
    [
      'half the ZIP64 sizes',
      one(f4('(2,)', 8), { zip64: true, central: { extra: zip64Extra(136) } }),
      /ZIP64 size .* missing/,
    ],
    [
      'two ZIP64 fields',
      one(f4('(2,)', 8), { central: { extra: concat(zip64Extra(1), zip64Extra(1)) } }),
      /two ZIP64 fields/,
    ],
    [
      'an extra field beyond its end',
      one(f4('(2,)', 8), { central: { extra: Uint8Array.of(9, 9, 9, 0) } }),
      /extra fields are damaged/,
    ],
    [
      'an unsafe ZIP64 size',
      one(f4('(2,)', 8), { zip64: true, central: { extra: zip64Extra(2n ** 63n, 1, 1) } }),
      /absurd/,
    ],
    ['a name twice', zip([part('a.npy'), part('a.npy')]), /tensor a, byte \d+: two arrays have this name/],
    [
      'two arrays in one place',
      zip([part('a.npy'), part('b.npy', undefined, { central: { offset: 0, name: 'b.npy' } })]),
      /tensor b, byte 0: it overlaps a\./,
    ],
    ['a file that is no array', zip([part('readme.txt')]), /holds a file "readme\.txt"/],
    ['a folder', zip([part('params/')]), /holds a file "params\/"/],
    ['no name', zip([part('.npy')]), /holds a file "\.npy"/],
    ['control characters', zip([part('a\nb.npy')]), /control characters/],
    ['a backslash', zip([part('a\\b.npy')]), /backslashes/],
    ['a name that turns around', zip([part('a\u202eb.npy')]), /control characters/],
    [
      'a name in no known encoding',
      one(f4('(2,)', 8), { central: { name: Uint8Array.of(0x81, 0x2e) } }),
      /not UTF-8, or not/,
    ],
    [
      'a name in bad UTF-8',
      one(f4('(2,)', 8), { central: { flags: 1 << 11, name: Uint8Array.of(0xff, 0x2e) } }),
      /not UTF-8, or not/,
    ],
    ['a name not marked as UTF-8', zip([part('ä.npy', undefined, { central: { flags: 0 } })]), /not marked as UTF-8/],
    ['no .npy', one(new Uint8Array(200)), /tensor a, byte 35: it does not start as a \.npy/],
    ['a short .npy', one(f4('(2,)', 8).slice(0, 9)), /does not start as a \.npy/],
    ['a .npy of 11 bytes', one(npy('', 0, { version: [2, 0] }).slice(0, 11)), /ends within its header/],
    ['version 4', one(npy(npyHeader("'<f4'", '(2,)'), 8, { version: [4, 0] })), /version 4\.0/],
    ['version 1.1', one(npy(npyHeader("'<f4'", '(2,)'), 8, { version: [1, 1] })), /version 1\.1/],
    ['an absurd header length', one(npy('{}', 8, { version: [2, 0], length: 2 ** 31 })), /2147483648 bytes long/],
    ['a header beyond the array', one(npy('{}', 8, { length: 500 })), /header takes 510 bytes of 20/],
    ['pickled objects', header(npyHeader("'|O'", '(2,)')), /pickled Python objects.*unsafe/],
    ['Fortran order', header(npyHeader("'<f4'", '(2,)', 'True')), /numpy\.ascontiguousarray/],
    ['big-endian numbers', header(npyHeader("'>f4'", '(2,)')), /big-endian.*newbyteorder/],
    ['fields', header(npyHeader("[('x', '<f4')]", '(2,)')), /structured/],
    ['a sub-array', header(npyHeader("('<f4', (2,))", '(1,)')), /structured/],
    ['text', header(npyHeader("'<U2'", '(1,)')), /dtype "<U2" is none/],
    ['complex numbers', header(npyHeader("'<c8'", '(1,)')), /dtype "<c8"/],
    ['a property of objects', header(npyHeader("'constructor'", '(1,)')), /dtype "constructor"/],
    ['the wrong size', header(npyHeader("'<f4'", '(3,)')), /F32 \[3\] takes 12 bytes, but it has 8/],
    ['bytes left over', header(npyHeader("'<f4'", '(1,)')), /takes 4 bytes, but it has 8/],
    ['a product beyond exact numbers', header(npyHeader("'<f4'", '(4294967296, 4294967296)')), /absurdly large/],
    ['an unsafe size', header(npyHeader("'<f4'", '(9007199254740993,)')), /9007199254740993 in its shape is absurd/],
    ['33 dimensions', header(npyHeader("'<f4'", `(${'1, '.repeat(33)})`), 4), /33 dimensions/],
    ['a negative size', header(npyHeader("'<f4'", '(-2,)')), /as numpy writes it/],
    ['a fraction', header(npyHeader("'<f4'", '(2.0,)')), /as numpy writes it/],
    ['a number in brackets', header(npyHeader("'<f4'", '(2)')), /as numpy writes it/],
    ['a number without brackets', header(npyHeader("'<f4'", '2')), /as numpy writes it/],
    ['a missing comma', header(npyHeader("'<f4'", '(2 1)')), /as numpy writes it/],
    ['two commas', header(npyHeader("'<f4'", '(2,,)')), /as numpy writes it/],
    ['a list', header(npyHeader("'<f4'", '[2]')), /as numpy writes it/],
    ['an expression', header("{'descr': '<f4', 'fortran_order': False, 'shape': (1+1,)}"), /as numpy writes it/],
    ['something after it', header(`${npyHeader("'<f4'", '(2,)')}1`), /as numpy writes it/],
    ['a missing bracket', header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)"), /as numpy writes it/],
    ['a missing key', header("{'descr': '<f4', 'shape': (2,)}"), /as numpy writes it/],
    ['another key', header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}"), /as numpy writes it/],
    [
      'a key twice',
      header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'descr': '<f2'}"),
      /as numpy writes it/,
    ],
    ['an escape', header("{'de\\x73cr': '<f4', 'fortran_order': False, 'shape': (2,)}"), /as numpy writes it/],
    ['a boolean of JSON', header(npyHeader("'<f4'", '(2,)', 'false')), /as numpy writes it/],
    ['an empty header', header(''), /as numpy writes it/],
    ['bad UTF-8', one(concat(npy('', 0, { version: [3, 0], length: 1 }), Uint8Array.of(0xff))), /as numpy writes it/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(message);
    await expect(open(bytes)).rejects.toMatchObject({ name: 'WeightFileError', file: 'x.npz' });
  });

  it('says which arrays overlap, and where', async () => {
    // The data of `a` is a whole array `b` with its local header.
    const inner = zipPieces([part('b.npy')])
      .pieces.slice(0, 2)
      .map((piece) => piece.bytes);
    const data = concat(...inner);
    const file = zip([
      part('a.npy', npy(npyHeader("'|u1'", `(${data.length},)`), data)),
      part('x.npy', undefined, { central: { name: 'b.npy', offset: 35 + 128 } }),
    ]);
    await expect(open(file)).rejects.toThrow(/x\.npz, tensor b, byte 163: it overlaps a\./);
  });

  it('stops when asked to', async () => {
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await expect(openNpz(bufferSource('x.npz', zip([part('a.npy')])), stop.signal)).rejects.toThrow('enough');
  });

  it('passes on what a source says', async () => {
    const bytes = zip([part('a.npy')]);
    const broken: ByteSource = { ...bufferSource('x.npz', bytes), read: () => Promise.reject(new Error('no network')) };
    await expect(openNpz(broken)).rejects.toThrow('no network');
  });

  const small = zip([part('a.npy', undefined, { zip64: true }), part('b/c.npy')], { zip64: {} });

  it('refuses the file cut at any byte', async () => {
    for (let length = 0; length < small.length; length++) expect(await outcome(small.slice(0, length))).toBe('refused');
    expect(await outcome(small)).toBe('opened');
  });

  it('survives any bytes changed: opens, or fails with a typed error', async () => {
    const random = seeded(1);
    const seen = { opened: 0, refused: 0 };
    for (let round = 0; round < 20_000; round++) {
      const bytes = small.slice();
      for (let n = Math.ceil(random() * 3); n > 0; n--) bytes[Math.floor(random() * bytes.length)] = random() * 256;
      seen[await outcome(bytes)]++;
    }
    expect(Math.min(seen.opened, seen.refused)).toBeGreaterThan(100);
  });
});
