import { gemmaConfigFromGguf, modelOf, tokenizerFromGguf } from '@lapidary/gemma';
import { openGguf } from '@lapidary/weights';
import { ByteWriter } from '../byte-writer.js';
import type { Dice } from '../dice.js';
import { type FuzzReader, isTyped, sourceOf } from '../reader.js';
import { checkPlaces } from './safetensors.js';

type Value = number | bigint | boolean | string | readonly Value[];

/** Types of GGUF by number: u8 i8 u16 i16 u32 i32 f32 bool string array u64 i64 f64. */
const sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const;
const [u32, f32, text, array] = [4, 6, 8, 9];

function writeText(writer: ByteWriter, value: string): void {
  const bytes = new TextEncoder().encode(value);
  writer.number(8, bytes.length).bytes(bytes);
}

function writeValue(writer: ByteWriter, type: number, value: Value): void {
  if (type === text) writeText(writer, String(value));
  else if (type === f32) writer.f32(Number(value));
  else if (type === 12) writer.bytes(new Uint8Array(Float64Array.of(Number(value)).buffer));
  else writer.number(sizes[type] as 1 | 2 | 4 | 8, BigInt(Math.trunc(Number(value) || 0)));
}

function writePair(writer: ByteWriter, key: string, type: number, value: Value): void {
  writeText(writer, key);
  if (Array.isArray(value)) {
    writer.number(4, array).number(4, type).number(8, value.length);
    for (const each of value) writeValue(writer, type, each as Value);
  } else {
    writer.number(4, type);
    writeValue(writer, type, value);
  }
}

/** Bytes and values of a block of the types that are read, and of some that are not. */
const blocks: readonly (readonly [type: number, bytes: number, values: number])[] = [
  [0, 4, 1],
  [1, 2, 1],
  [2, 18, 32],
  [6, 22, 32],
  [8, 34, 32],
  [12, 144, 256],
  [13, 176, 256],
  [14, 210, 256],
  [30, 2, 1],
  [3, 20, 32],
];

export const tokens = [
  '<pad>',
  '<eos>',
  '<bos>',
  '<unk>',
  '<0x00>',
  '<0x41>',
  '\u2581',
  'a',
  'b',
  'ab',
  '\u2581a',
  '<start_of_turn>',
];
export const tokenKinds = [3, 3, 3, 2, 6, 6, 1, 1, 1, 1, 1, 4];

function pairsOf(dice: Dice): [key: string, type: number, value: Value][] {
  const arch = dice.pick(['gemma', 'gemma2', 'gemma3', 'gemma3', dice.text()]);
  const pairs: [string, number, Value][] = [
    ['general.architecture', text, arch],
    [`${arch}.block_count`, u32, dice.between(1, 3)],
    [`${arch}.embedding_length`, u32, 32],
    [`${arch}.feed_forward_length`, u32, 64],
    [`${arch}.attention.head_count`, u32, 2],
    [`${arch}.attention.head_count_kv`, u32, 1],
    [`${arch}.attention.key_length`, u32, 16],
    [`${arch}.attention.value_length`, u32, 16],
    [`${arch}.attention.layer_norm_rms_epsilon`, f32, 1e-6],
    [`${arch}.context_length`, u32, 128],
    ['tokenizer.ggml.model', text, 'llama'],
    ['tokenizer.ggml.tokens', text, tokens],
    ['tokenizer.ggml.scores', f32, tokens.map((_, i) => -i)],
    ['tokenizer.ggml.token_type', 5, tokenKinds],
    ['tokenizer.ggml.bos_token_id', u32, 2],
    ['tokenizer.ggml.eos_token_id', u32, 1],
  ];
  if (dice.chance(0.2)) pairs.push(['general.alignment', u32, dice.pick([32, 8, 64, 1, 0, 3, 2 ** 31])]);
  if (dice.chance(0.3)) pairs.splice(dice.below(pairs.length), 1);
  if (dice.chance(0.1)) pairs.push(dice.pick(pairs));
  if (dice.chance(0.3)) {
    const at = dice.below(pairs.length);
    const [key] = pairs[at] as (typeof pairs)[number];
    pairs[at] = [key, dice.below(13), dice.pick<Value>([dice.below(300), 1.5, -1, 'x', 1e9, 2 ** 52])];
    if (pairs[at][1] === array) pairs[at] = [key, u32, dice.list(3, (i) => i)];
  }
  return pairs;
}

export const ggufReader: FuzzReader = {
  name: 'gguf',
  make(dice) {
    const writer = new ByteWriter();
    const pairs = dice.chance(0.5) ? pairsOf(dice) : [];
    const infos = dice.list(dice.below(4), (i) => {
      const [type, bytes, values] = dice.pick(blocks);
      const dims = [values * dice.below(3), ...dice.list(dice.below(3), () => dice.below(4))];
      const size = dims.reduce((product, length) => product * length, bytes / values);
      return { name: dice.chance(0.9) ? `t${i}` : 't0', type, dims, size };
    });
    writer
      .text('GGUF')
      .number(4, dice.pick([3, 3, 3, 2]))
      .number(8, infos.length)
      .number(8, pairs.length);
    for (const pair of pairs) writePair(writer, ...pair);
    let offset = 0;
    for (const { name, type, dims, size } of infos) {
      writeText(writer, name);
      writer.number(4, dims.length);
      for (const length of dims) writer.number(8, length);
      writer.number(4, type).number(8, offset);
      offset = Math.ceil((offset + size) / 32) * 32;
    }
    writer.align(32).bytes(new Uint8Array(offset));
    return { 'model.gguf': writer.broken(dice) };
  },
  async read({ 'model.gguf': bytes = new Uint8Array() }) {
    const { tensors, metadata } = await openGguf(sourceOf('model.gguf', bytes));
    checkPlaces(tensors, bytes.length);
    // What the metadata are good for is a matter of its own: none of it may throw anything else.
    await mayRefuse(() => modelOf(gemmaConfigFromGguf(metadata)).params.length);
    await mayRefuse(async () => (await tokenizerFromGguf(metadata)).encode('a b ab\u00e9'));
  },
};

/** Lets errors of the packages pass. */
export async function mayRefuse(body: () => unknown): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (!isTyped(error)) throw error;
  }
}
