// tokenizer.model files against the sentencepiece library and transformers (test/fixtures/tokenizer-paligemma), and files
// that are wrong.
import { TokenizerError, tokenizerFromSentencePiece } from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { fixtureBytes, fixtureJson } from './support/safetensors-fixture.js';

interface Cases {
  /** `ids` are SentencePiece's; `transformersIds` are there where transformers answers otherwise. */
  encode: { text: string; ids: number[]; transformersIds?: number[]; decoded: string }[];
  decode: { ids: number[]; text: string; textWithoutSpecials: string }[];
}

describe('tokenizerFromSentencePiece on a file that SentencePiece wrote', () => {
  const load = async () => tokenizerFromSentencePiece(await fixtureBytes('tokenizer-paligemma/tokenizer.model'));
  // Named in a text they are pieces for transformers and plain text for SentencePiece.
  const control = /<(pad|eos|bos|unk)>/;

  it('encodes as SentencePiece does, and control pieces as transformers does', async () => {
    const tokenizer = await load();
    const { encode } = await fixtureJson<Cases>('tokenizer-paligemma/cases.json');
    for (const { text, ids, transformersIds } of encode) {
      const expected = control.test(text) ? transformersIds : ids;
      expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(expected);
      expect(tokenizer.encode(text)).toEqual([2, ...expected!]);
    }
    expect(encode.filter(({ text }) => control.test(text))).not.toHaveLength(0);
  });

  it('decodes as both do', async () => {
    const tokenizer = await load();
    const { encode, decode } = await fixtureJson<Cases>('tokenizer-paligemma/cases.json');
    for (const { ids, decoded } of encode) expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decoded);
    // Transformers adds a piece for images behind the file's own.
    for (const { ids, text, textWithoutSpecials } of decode.filter((c) =>
      c.ids.every((id) => id < tokenizer.vocabSize),
    )) {
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text);
      expect(tokenizer.decode(ids)).toBe(textWithoutSpecials);
    }
    expect(tokenizer.tokenId('<loc1023>')).toBe(1623);
  });
});

type Field = readonly [number: number, value: number | bigint | string | Uint8Array | Float32Array];

function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

/** A protobuf message: numbers as varints, a Float32Array as fixed32. */
function message(...fields: Field[]): Uint8Array {
  return Uint8Array.from(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'bigint') return [...varint(number * 8), ...varint(value)];
      if (value instanceof Float32Array) return [...varint(number * 8 + 5), ...new Uint8Array(value.buffer)];
      const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
      return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
    }),
  );
}

const piece = (text: string, score: number, kind = 1): Field => [
  1,
  message([1, text], [2, Float32Array.of(score)], [3, kind]),
];
const pieces: Field[] = [
  piece('<pad>', 0, 3),
  piece('<eos>', 0, 3),
  piece('<bos>', 0, 3),
  piece('<unk>', 0, 2),
  piece('<loc0001>', 0, 4),
  piece('ab', -1),
  piece('ba', 0),
  // The kind is left out where it is the usual one.
  ...['a', 'b', '▁', '\ufeff'].map((text, i): Field => [1, message([1, text], [2, Float32Array.of(-9 - i)])]),
];
const trainer = (...changed: Field[]): Field => [2, message([3, 2], [40, 3], [41, 2], [42, 1], [43, 0], ...changed)];
const normalizer = (...changed: Field[]): Field => [3, message([1, 'identity'], [3, 0], [4, 0], ...changed)];
const model = message(...pieces, trainer(), normalizer());
const read = (bytes: Uint8Array) => tokenizerFromSentencePiece(bytes);

describe('tokenizerFromSentencePiece on models made here', () => {
  it('joins by score, finds named pieces and keeps a byte order mark', async () => {
    const tokenizer = await read(model);
    expect(tokenizer).toMatchObject({ vocabSize: 11, bosId: 2, eosId: 1, padId: 0 });
    expect(tokenizer.encode('abab a')).toEqual([2, 7, 6, 8, 9, 7]);
    expect(tokenizer.encode('<loc0001>ab\ufeff<eos>', { addSpecialTokens: false })).toEqual([4, 5, 10, 1]);
    expect(tokenizer.encode('axxb', { addSpecialTokens: false })).toEqual([7, 3, 8]);
    expect(tokenizer.encode('a<unk>', { addSpecialTokens: false })).toEqual([7, 3]);
    expect(tokenizer.decode([7, 9, 4, 5])).toBe('a <loc0001>ab');
  });

  it('takes what is left out or added as the format says', async () => {
    const withoutPad = message(...pieces, trainer([43, -1]), normalizer([5, 1]), [4, message([1, 'self test'])]);
    expect((await read(withoutPad)).padId).toBe(3);
    const unknownFields = message(
      [200, 'later'],
      ...pieces,
      trainer([44, 'x'], [10, Float32Array.of(1)]),
      normalizer(),
    );
    expect((await read(unknownFields)).encode('ab')).toEqual([2, 5]);
  });

  it('never makes a piece that is left out of the vocabulary, and joins runs of spaces with those written', async () => {
    const unused = message(...pieces, piece('bb', 9, 5), trainer(), normalizer());
    expect((await read(unused)).encode('abba', { addSpecialTokens: false })).toEqual([5, 6]);
    const runs = message(...pieces, piece('▁▁', 0, 4), piece('▁▁▁', 0, 4), trainer(), normalizer());
    const { encode } = await read(runs);
    expect(encode('a    b', { addSpecialTokens: false })).toEqual([7, 12, 9, 8]);
    expect(encode('a ▁▁b', { addSpecialTokens: false })).toEqual([7, 12, 8]);
  });

  const other = (...fields: Field[]) => message(...pieces, ...fields);
  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /no pieces/],
    ['JSON', new TextEncoder().encode('{"version": "1.0"}'), /no SentencePiece model.*Download it again/],
    ['an error page', new TextEncoder().encode('<!doctype html><html></html>'), /no SentencePiece model/],
    ['a number of 11 bytes', new Uint8Array(20).fill(0x88), /more than 10 bytes/],
    ['field 0', Uint8Array.of(0, 1), /number 0/],
    ['an unknown wire type', Uint8Array.of(11), /unknown type 3/],
    ['an absurd length', Uint8Array.of(10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1), /middle of a field/],
    ['a piece that is a number', message([1, 5]), /bytes were expected/],
    ['a text that is a number', message([1, message([1, 5])]), /bytes were expected/],
    ['a score that is a varint', message([1, message([1, 'a'], [2, 5])]), /no number for its score/],
    ['a kind that is text', message([1, message([1, 'a'], [3, 'b'])]), /number was expected/],
    ['bad UTF-8', message([1, message([1, Uint8Array.of(0xff)])]), /piece 0 is not UTF-8/],
    ['an empty piece', message([1, message([2, Float32Array.of(1)])]), /piece 0 is empty/],
    ['no score', message(piece('a', Number.NaN)), /score of piece 0 is NaN/],
    ['an unknown kind', message(piece('a', 0, 7)), /unknown kind 7/],
    ['a piece twice', other(piece('a', 0), trainer(), normalizer()), /twice/],
    ['no trainer', other(normalizer()), /type unigram; only BPE/],
    ['unigram', other(trainer([3, 1]), normalizer()), /type unigram; only BPE/],
    ['an unknown type', other(trainer([3, 9]), normalizer()), /type 9; only BPE/],
    ['no normalizer', other(trainer()), /add_dummy_prefix.*remove_extra_whitespaces/],
    ['a space in front', other(trainer(), normalizer([3, 1])), /space in front \(add_dummy_prefix\)/],
    ['removed spaces', other(trainer(), normalizer([4, 1])), /remove_extra_whitespaces/],
    ['unescaped spaces', other(trainer(), normalizer([5, 0])), /escape_whitespaces off/],
    ['a normalisation', other(trainer(), normalizer([2, 'table'])), /rewrites characters/],
    ['a normalisation of results', other(trainer(), normalizer(), [5, message([2, 'table'])]), /rewrites characters/],
    ['no bos', other(trainer([41, -1]), normalizer()), /no bos piece: it is said to be -1 of 11\./],
    ['a bos beyond the end', other(trainer([41, 99]), normalizer()), /bos piece: it is said to be 99 of 11\./],
    ['an eos that is a plain piece', other(trainer([42, 5]), normalizer()), /eos piece: .*which is "ab"/],
    ['an unk that is a control piece', other(trainer([40, 0]), normalizer()), /unk piece: .*which is "<pad>"/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(read(bytes)).rejects.toThrow(TokenizerError);
    await expect(read(bytes)).rejects.toThrow(message);
  });

  it('refuses the file cut at any byte', async () => {
    // Cut between its fields it is a shorter message, without the normalizer.
    for (let length = 0; length < model.length; length++)
      await expect(read(model.subarray(0, length)), `${length}`).rejects.toThrow(TokenizerError);
  });

  it('survives any byte changed: a tokenizer, or a typed error', async () => {
    const seen = { read: 0, refused: 0 };
    for (let at = 0; at < model.length; at++) {
      for (const change of [1, 2, 8, 128, 255]) {
        const bytes = model.slice();
        bytes[at]! ^= change;
        try {
          (await read(bytes)).encode('abab a');
          seen.read++;
        } catch (error) {
          expect(error, `byte ${at} ^ ${change}`).toBeInstanceOf(TokenizerError);
          seen.refused++;
        }
      }
    }
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(20);
  });
});
