import { describe, expect, it } from 'vitest';
import { WeightDTypeError, WeightFileError } from '../errors.js';
import { bufferSource } from '../source/byte-source.js';
import { gguf, seeded } from '../testing/bytes.js';
import { openGguf } from './read.js';

const open = (bytes: Uint8Array) => openGguf(bufferSource('x.gguf', bytes));

const small = gguf()
  .header(2, 3)
  .string('general.architecture')
  .u32(8)
  .string('gemma3')
  .string('list')
  .u32(9)
  .u32(4)
  .u64(2)
  .u32(5)
  .u32(6)
  .string('big')
  .u32(10)
  .u64(2n ** 60n)
  .tensor('a', [4, 2], 0, 0)
  .tensor('b', [32, 1], 8, 32)
  .align()
  .bytes(32 + 34);

async function outcome(bytes: Uint8Array): Promise<'opened' | 'refused'> {
  try {
    await open(bytes);
    return 'opened';
  } catch (error) {
    if (!(error instanceof WeightFileError || error instanceof WeightDTypeError)) throw error;
    return 'refused';
  }
}

describe('openGguf', () => {
  it('reads metadata and places tensors', async () => {
    const { metadata, tensors } = await open(small);
    expect(metadata).toMatchObject({ 'general.architecture': 'gemma3', list: [5, 6], big: 2n ** 60n });
    expect(tensors.get('a')).toMatchObject({ type: 'F32', shape: [2, 4], byteLength: 32, offset: small.length - 66 });
    expect(tensors.get('b')).toMatchObject({ type: 'Q8_0', shape: [1, 32], byteLength: 34, offset: small.length - 34 });
  });

  it('keeps byte order marks, which words of a vocabulary begin with', async () => {
    const words = ['//', '\ufeff//', '\ufeff', 'a\ufeff'];
    const file = gguf().header(0, 1).string('words').u32(9).u32(8).u64(words.length);
    for (const word of words) {
      const bytes = new TextEncoder().encode(word);
      file.u64(bytes.length).text(word);
    }
    expect((await open(file.bytes(32))).metadata['words']).toEqual(words);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /header wanted/],
    ['another format', gguf().text('GGML').u32(3).bytes(40), /no GGUF file/],
    ['version 1', gguf().text('GGUF').u32(1).bytes(40), /version 1/],
    [
      'absurd numbers of tensors',
      gguf()
        .header(2n ** 63n, 0)
        .bytes(),
      /number of tensors/,
    ],
    ['more tensors than fit', gguf().header(1000, 0).bytes(100), /do not fit/],
    [
      'absurd numbers of entries',
      gguf()
        .header(0, 2n ** 40n)
        .bytes(),
      /metadata entries/,
    ],
    ['a string longer than the file', gguf().header(0, 1).u64(1_000_000).bytes(20), /do not fit/],
    [
      'an absurd string',
      gguf()
        .header(0, 1)
        .u64(2n ** 62n)
        .bytes(20),
      /length of a key/,
    ],
    [
      'an absurd array',
      gguf()
        .header(0, 1)
        .string('k')
        .u32(9)
        .u32(0)
        .u64(2n ** 40n)
        .bytes(8),
      /length of an array/,
    ],
    [
      'an array longer than the file',
      gguf().header(0, 1).string('k').u32(9).u32(10).u64(100_000).bytes(8),
      /do not fit/,
    ],
    ['an unknown type of value', gguf().header(0, 1).string('k').u32(13).bytes(8), /type 13/],
    [
      'a key twice',
      gguf().header(0, 2).string('k').u32(0).text('x').string('k').u32(0).text('x').bytes(30),
      /"k" twice/,
    ],
    [
      'a tensor twice',
      gguf().header(2, 0).tensor('a', [1], 0, 0).tensor('a', [1], 0, 32).align().bytes(64),
      /is there twice/,
    ],
    ['too many dimensions', gguf().header(1, 0).string('a').u32(9).bytes(90), /9 dimensions/],
    [
      'an absurd size',
      gguf()
        .header(1, 0)
        .tensor('a', [2n ** 60n], 0, 0)
        .bytes(32),
      /a size or offset is/,
    ],
    [
      'an absurd product',
      gguf()
        .header(1, 0)
        .tensor('a', [2 ** 40, 2 ** 40], 0, 0)
        .bytes(32),
      /absurdly large/,
    ],
    ['a row that is no whole block', gguf().header(1, 0).tensor('a', [33], 8, 0).bytes(64), /Q8_0 blocks/],
    ['data beyond the end', gguf().header(1, 0).tensor('a', [8], 0, 0).align().bytes(31), /takes 32 bytes/],
    [
      'an overlap',
      gguf().header(2, 0).tensor('a', [8], 0, 0).tensor('b', [1], 0, 28).align().bytes(64),
      /tensor b, byte \d+: it overlaps/,
    ],
    ['a strange alignment', gguf().header(0, 1).string('general.alignment').u32(4).u32(0).bytes(40), /power of two/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(message);
    await expect(open(bytes)).rejects.toMatchObject({ name: 'WeightFileError', file: 'x.gguf' });
  });

  it('refuses arrays nested without end', async () => {
    const nested = gguf().header(0, 1).string('k').u32(9);
    for (let i = 0; i < 100; i++) nested.u32(9).u64(1);
    await expect(open(nested.bytes())).rejects.toThrow(/too deep/);
  });

  it('names a tensor and its type where that is not supported', async () => {
    const file = gguf().header(1, 0).tensor('blk.0.attn_q.weight', [256], 16, 0).align().bytes(66);
    await expect(open(file)).rejects.toThrow(
      /x\.gguf, tensor blk\.0\.attn_q\.weight: is stored as IQ2_XXS\. Supported: F32/,
    );
    await expect(open(file)).rejects.toBeInstanceOf(WeightDTypeError);
  });

  it('reads a header longer than the first piece', async () => {
    const value = 'x'.repeat(1 << 20);
    const key = gguf().header(0, 2).string('a').u32(8).bytes();
    const rest = gguf().string('b').u32(8).string('end').bytes(32);
    const text = gguf().u64(value.length).bytes();
    const file = new Uint8Array(key.length + text.length + value.length + rest.length).fill(0x78);
    file.set(key);
    file.set(text, key.length);
    file.set(rest, file.length - rest.length);
    expect((await open(file)).metadata['b']).toBe('end');
  });

  it('refuses the file cut at any byte', async () => {
    for (let length = 0; length < small.length; length++) expect(await outcome(small.slice(0, length))).toBe('refused');
  });

  it('survives any bytes flipped: opens, or fails with a typed error', async () => {
    const random = seeded(2);
    const seen = { opened: 0, refused: 0 };
    for (let round = 0; round < 20_000; round++) {
      const bytes = small.slice();
      for (let n = Math.ceil(random() * 3); n > 0; n--) bytes[Math.floor(random() * bytes.length)] = random() * 256;
      seen[await outcome(bytes)]++;
    }
    expect(Math.min(seen.opened, seen.refused)).toBeGreaterThan(100);
  });
});
