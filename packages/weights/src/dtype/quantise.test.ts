import { expect, it } from 'vitest';
import { fixtureSources } from '../../../../test/support/fixture-sources.js';
import { openSafetensors } from '../safetensors/read.js';
import { WeightDTypeError } from '../errors.js';
import { castTensor } from './cast-tensor.js';
import { encodeFloats } from './convert.js';
import { dequantise } from './dequantise.js';
import { quantise } from './quantise.js';

const read = async (name: string, folder = 'gguf') => {
  const [file] = await fixtureSources(`${folder}/quantised.safetensors`);
  const found = (await openSafetensors(file!)).tensors.get(name)!;
  return found.source.read(found.offset, found.byteLength);
};
const values = async () => dequantise('f32', await read('values'));

it.each(['q8_0', 'q4_0'] as const)('%s: bit for bit as gguf-py quantises', async (dtype) => {
  expect(quantise(dtype, await values())).toEqual(await read(dtype));
});

it('nf4: bit for bit as bitsandbytes quantises', async () => {
  const given = dequantise('f32', await read('values', 'nf4'));
  expect(quantise('nf4', given)).toEqual(await read('nf4', 'nf4'));
});

it.each([
  ['f16', 'float16'],
  ['bf16', 'bfloat16'],
] as const)('%s: bit for bit as torch rounds', async (dtype, name) => {
  expect(encodeFloats(await values(), dtype)).toEqual(await read(name));
});

it('refuses parts of a block', () => {
  expect(() => quantise('q8_0', new Float32Array(33))).toThrow(RangeError);
});

async function cast(
  given: readonly number[],
  to: Parameters<typeof castTensor>[2],
  pieces: readonly number[],
  offset = 0,
) {
  const whole = encodeFloats(Float32Array.from(given), 'f32');
  let at = 0;
  const parts = [...pieces, whole.length].map((end) => whole.slice(at, (at = end)));
  const tensor = castTensor('t', { dtype: 'f32', shape: [given.length], bytes: () => parts }, to, offset);
  const out: number[] = [];
  for await (const piece of tensor.bytes instanceof Uint8Array ? [tensor.bytes] : tensor.bytes()) out.push(...piece);
  return Uint8Array.from(out);
}

it.each([[[]], [[4]], [[128]], [[1, 2, 3, 130, 200]], [[0, 255]]])('pieces may be cut anywhere: %j', async (pieces) => {
  const given = Array.from({ length: 64 }, (_, i) => Math.sin(i));
  for (const to of ['f32', 'bf16', 'q8_0', 'q4_0'] as const) {
    const floats = Float32Array.from(given);
    const expected = to === 'q8_0' || to === 'q4_0' ? quantise(to, floats) : encodeFloats(floats, to);
    expect(await cast(given, to, pieces)).toEqual(expected);
  }
  const moved = Float32Array.from(given, (value) => Math.fround(value) + 1);
  expect(await cast(given, 'f32', pieces, 1)).toEqual(encodeFloats(moved, 'f32'));
});

it.each([
  ['f16', 70_000],
  ['q8_0', 65_520 * 127],
  ['q4_0', -65_520 * 8],
  ['bf16', 3.4e38],
] as const)('%s: a value that is too large is refused by name', async (to, value) => {
  const given = [...new Array<number>(31).fill(1), value];
  await expect(cast(given, to, [])).rejects.toThrow(WeightDTypeError);
  await expect(cast(given, to, [])).rejects.toThrow(/tensor t: has values that are too large/);
  await expect(
    cast(
      given.map((each) => each / 2),
      to,
      [],
    ),
  ).resolves.toBeDefined();
});
