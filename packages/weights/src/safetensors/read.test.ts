import { describe, expect, it } from 'vitest';
import { WeightFileError } from '../errors.js';
import { bufferSource } from '../source/byte-source.js';
import { rawSafetensors, seeded } from '../testing/bytes.js';
import { openSafetensors } from './read.js';
import { safetensorsToBytes } from './write.js';

const open = (bytes: Uint8Array) => openSafetensors(bufferSource('x.safetensors', bytes));
const f32 = (shape: unknown, begin: unknown, end: unknown) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

/** A source that refuses to give more than it has, and counts. */
async function outcome(bytes: Uint8Array): Promise<'opened' | 'refused'> {
  const source = bufferSource('x.safetensors', bytes);
  let asked = 0;
  const counting = {
    ...source,
    read: (offset: number, length: number) => {
      asked += length;
      return source.read(offset, length);
    },
  };
  try {
    await openSafetensors(counting);
    return 'opened';
  } catch (error) {
    if (!(error instanceof WeightFileError)) throw error;
    return 'refused';
  } finally {
    expect(asked).toBeLessThanOrEqual(bytes.length);
  }
}

describe('openSafetensors', () => {
  it('reads what the writer wrote, also empty tensors and scalars', async () => {
    const bytes = await safetensorsToBytes(
      new Map([
        ['a', { dtype: 'f32', shape: [2, 1], bytes: new Uint8Array(8).fill(7) }],
        ['empty', { dtype: 'bf16', shape: [0, 5], bytes: new Uint8Array(0) }],
        ['scalar', { dtype: 'u32', shape: [], bytes: () => [new Uint8Array(1), new Uint8Array(3)] }],
      ] as const),
      { format: 'pt' },
    );
    const { tensors, metadata } = await open(bytes);
    expect(metadata).toEqual({ format: 'pt' });
    expect([...tensors.keys()]).toEqual(['a', 'empty', 'scalar']);
    const a = tensors.get('a')!;
    expect(a.offset % 8).toBe(0);
    expect(await a.source.read(a.offset, a.byteLength)).toEqual(new Uint8Array(8).fill(7));
    expect(tensors.get('scalar')).toMatchObject({ type: 'U32', shape: [], byteLength: 4 });
  });

  it.each([
    ['a whole character', '\\ud83d\\ude00', '\u{1f600}'],
    ['a number', '-1.5e3', '-1.5e3'],
    ['a backslash', '\\\\ud83d', '\\ud83d'],
  ])('reads a name with %s in it', async (_, spelled, name) => {
    const header = `{"${spelled}":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`;
    expect([...(await open(rawSafetensors(header, 1))).tensors.keys()]).toEqual([name]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /at least 8 bytes/],
    ['an absurd header length', rawSafetensors({}, 0, 2n ** 63n), /header is said to be/],
    ['a header longer than the file', rawSafetensors({}, 0, 3n), /header is said to be/],
    ['bad JSON', rawSafetensors('{"a":', 0), /not valid JSON/],
    ['no object', rawSafetensors('[]', 0), /not a JSON object/],
    ['blanks before the object', rawSafetensors(' {}', 0), /not a JSON object/],
    ['bad UTF-8', rawSafetensors({}, 0).fill(0xff, 9), /not valid JSON/],
    ['a name twice', rawSafetensors('{"a":1,"\\u0061":1}', 0), /names "a" twice/],
    ['a key of an entry twice', rawSafetensors('{"a":{"dtype":"F32","dtype":"F32"}}', 0), /names "dtype" twice/],
    ['an entry that is no object', rawSafetensors({ a: 3 }, 0), /not an object/],
    ['an unknown dtype', rawSafetensors({ a: { ...f32([1], 0, 4), dtype: 'toString' } }, 4), /dtype/],
    ['a negative size', rawSafetensors({ a: f32([-1], 0, 4) }, 4), /shape/],
    ['a fraction', rawSafetensors({ a: f32([0.5], 0, 2) }, 2), /shape/],
    ['a product beyond exact numbers', rawSafetensors({ a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4), /absurdly large/],
    ['the wrong size', rawSafetensors({ a: f32([2], 0, 4) }, 4), /takes 8 bytes, but it has 4/],
    ['offsets backwards', rawSafetensors({ a: f32([1], 4, 0) }, 4), /data_offsets/],
    ['three offsets', rawSafetensors({ a: { ...f32([1], 0, 4), data_offsets: [0, 4, 4] } }, 4), /two positions/],
    ['data beyond the end', rawSafetensors({ a: f32([2], 0, 8) }, 4), /4 bytes of data/],
    ['an overlap', rawSafetensors({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8), /tensor b, byte \d+: it overlaps/],
    ['a hole', rawSafetensors({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /4 bytes before it belong to no tensor/],
    ['bytes left over', rawSafetensors({ a: f32([1], 0, 4) }, 5), /1 bytes at the end/],
    [
      'half a character',
      rawSafetensors('{"a\\ud83d":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1),
      /no Unicode/,
    ],
    ['its other half', rawSafetensors('{"__metadata__":{"a":"\\uDE00"}}', 0), /no Unicode/],
    [
      'a size below zero that is none',
      rawSafetensors('{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}', 0),
      /number -0;/,
    ],
    [
      'a size with a point',
      rawSafetensors('{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', 1),
      /number 1\.0;/,
    ],
    [
      'a size with an exponent',
      rawSafetensors('{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}', 1),
      /number 1e0;/,
    ],
    ['lists in lists', rawSafetensors(`{"a":${'['.repeat(5e4)}${']'.repeat(5e4)}}`, 0), /deeper than 100 levels/],
    ['metadata of numbers', rawSafetensors({ __metadata__: { a: 1 } }, 0), /__metadata__/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(message);
    await expect(open(bytes)).rejects.toMatchObject({ name: 'WeightFileError', file: 'x.safetensors' });
  });

  const small = rawSafetensors({ __metadata__: { format: 'pt' }, a: f32([2, 2], 0, 16), b: f32([1], 16, 20) }, 20);

  it('refuses the file cut at any byte', async () => {
    for (let length = 0; length < small.length; length++) expect(await outcome(small.slice(0, length))).toBe('refused');
    expect(await outcome(small)).toBe('opened');
  });

  it('survives any bytes flipped: opens, or fails with a typed error', async () => {
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
