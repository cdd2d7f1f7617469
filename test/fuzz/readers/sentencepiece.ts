import { tokenizerFromSentencePiece } from '@lapidary/gemma';
import { ByteWriter } from '../byte-writer.js';
import type { Dice } from '../dice.js';
import { encode, type FuzzReader } from '../reader.js';
import { tokenKinds, tokens } from './gguf.js';
import { useTokenizer } from './tokenizer-json.js';

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.of(...bytes, Number(rest));
}

const field = (number: number, wire: number) => varint(number * 8 + wire);
const numberField = (number: number, value: number) => [field(number, 0), varint(value)];
const bytesField = (number: number, bytes: Uint8Array) => [field(number, 2), varint(bytes.length), bytes];

function message(parts: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  for (const part of parts) writer.bytes(part);
  return writer.plain();
}

/** What the fields of a message may be besides what they should. */
function strangeNumber(dice: Dice, value: number): number {
  return dice.chance(0.97) ? value : dice.pick([0, 1, -1, 5, 2 ** 31, -(2 ** 31), 1e9, 2 ** 53]);
}

/** A SentencePiece model (tokenizer.model). */
export const sentencePieceReader: FuzzReader = {
  name: 'sentencepiece',
  make(dice) {
    const writer = new ByteWriter();
    const add = (parts: readonly Uint8Array[]) => parts.forEach((part) => writer.bytes(part));
    tokens.forEach((token, id) => {
      if (dice.chance(0.01)) return;
      const text = dice.chance(0.98) ? token : dice.pick([...tokens, '', dice.text(), 'a'.repeat(5000)]);
      const score = dice.chance(0.99) ? -id : dice.pick([Number.NaN, Number.POSITIVE_INFINITY, 0]);
      const piece = [
        ...bytesField(1, encode(text)),
        field(2, 5),
        new Uint8Array(Float32Array.of(score).buffer),
        ...numberField(3, strangeNumber(dice, tokenKinds[id] ?? 1)),
      ];
      add(bytesField(1, message(piece)));
    });
    const trainer = [
      [3, 2],
      [35, 1],
      [40, 3],
      [41, 2],
      [42, 1],
      [43, 0],
    ].flatMap(([number = 0, value = 0]) => (dice.chance(0.98) ? numberField(number, strangeNumber(dice, value)) : []));
    add(bytesField(2, message(trainer)));
    const normalizer = [3, 4].flatMap((number) => numberField(number, dice.chance(0.98) ? 0 : 1));
    add(bytesField(3, message([...normalizer, ...numberField(5, 1)])));
    return { 'tokenizer.model': writer.broken(dice) };
  },
  async read({ 'tokenizer.model': bytes = new Uint8Array() }) {
    useTokenizer(await tokenizerFromSentencePiece(bytes));
  },
};
