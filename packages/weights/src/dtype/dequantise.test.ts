import { quantDTypes } from '@lapidary/kernels/dtype';
import { describe, expect, it } from 'vitest';
import { fixtureSources } from '../../../../test/support/fixture-sources.js';
import { openSafetensors } from '../safetensors/read.js';
import { convertBytes, encodeFloats } from './convert.js';
import { dequantise } from './dequantise.js';
import { f16ToNumber, numberToBf16, numberToF16 } from './floats.js';

describe('dequantise', () => {
  it.each(quantDTypes)('%s as gguf-py, of NF4 bitsandbytes, reads it', async (dtype) => {
    const [blocks] = await fixtureSources(`${dtype === 'nf4' ? 'nf4' : 'gguf'}/blocks.safetensors`);
    const { tensors } = await openSafetensors(blocks!);
    const read = (name: string) =>
      tensors.get(name)!.source.read(tensors.get(name)!.offset, tensors.get(name)!.byteLength);
    const expected = dequantise('f32', await read(`${dtype}.values`));
    expect(dequantise(dtype, await read(`${dtype}.bytes`))).toEqual(expected);
  });
  it('refuses parts of a block', () => {
    expect(() => dequantise('q4_0', new Uint8Array(17))).toThrow(RangeError);
  });
});

describe('halves', () => {
  it('f16 goes there and back for every bit pattern', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = f16ToNumber(bits);
      if (!Number.isNaN(value)) expect(numberToF16(value)).toBe(bits);
    }
  });
  it('rounds to nearest, ties to even', () => {
    expect(numberToF16(1 + 2 ** -11)).toBe(0x3c00);
    expect(numberToF16(1 + 3 * 2 ** -11)).toBe(0x3c02);
    expect(numberToF16(2 ** -25)).toBe(0);
    expect(numberToF16(2 ** -25 * 1.01)).toBe(1);
    expect(numberToF16(65519.9)).toBe(0x7bff);
    expect(numberToF16(65520)).toBe(0x7c00);
    expect(numberToBf16(1 + 2 ** -8)).toBe(0x3f80);
    expect(numberToBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(numberToBf16(-Infinity)).toBe(0xff80);
    expect(numberToBf16(Number.NaN) & 0x7fff).toBeGreaterThan(0x7f80);
  });
  it('leaves bytes alone where nothing changes', () => {
    const bytes = encodeFloats(Float32Array.of(1, -2), 'bf16');
    expect(convertBytes(bytes, 'bf16', 'bf16')).toBe(bytes);
    expect(dequantise('f32', convertBytes(bytes, 'bf16', 'f32', -1))).toEqual(Float32Array.of(0, -3));
  });
});
