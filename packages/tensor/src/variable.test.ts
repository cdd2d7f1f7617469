import { type Gpu, openGpu } from '@lapidary/gpu';
import type { DType } from '@lapidary/kernels';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Variable, variableFrom, VariableError } from './variable.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const shown = async (variable: Variable) => [...(await variable.readBytes())];

describe('variableFrom', () => {
  it('takes just the values of its shape', async () => {
    expect([...(await variableFrom(gpu, Float32Array.of(1, 2), [2]).read())]).toEqual([1, 2]);
    expect(await shown(variableFrom(gpu, Int32Array.of(3), [], { dtype: 'i32' }))).toEqual([3, 0, 0, 0]);
    // Bytes are the dtype's own, whichever it is.
    expect(await shown(variableFrom(gpu, Uint8Array.of(1, 2, 3, 4, 5, 6), [3], { dtype: 'bf16' }))).toEqual([
      1, 2, 3, 4, 5, 6, 0, 0,
    ]);
  });

  const cases: readonly (readonly [string, unknown, unknown, unknown, RegExp])[] = [
    ['too few values', Float32Array.of(1), [2], 'f32', /'w', f32\[2\]: it takes 8 bytes, and its values have 4/],
    ['too many values', Float32Array.of(1, 2, 3), [2], 'f32', /takes 8 bytes, and its values have 12/],
    ['no values', new Float32Array(0), [1], 'f32', /takes 4 bytes, and its values have 0/],
    ['half a pair', Uint16Array.of(1), [2], 'bf16', /takes 4 bytes, and its values have 2/],
    ['whole numbers as floats', Int32Array.of(1), [1], 'f32', /its values are a Int32Array/],
    ['floats as whole numbers', Float32Array.of(1), [1], 'i32', /its values are a Float32Array/],
    ['doubles', Float64Array.of(1), [2], 'f32', /its values are a Float64Array/],
    ['a list', [1, 2], [2], 'f32', /must be a typed array/],
    ['null', null, [2], 'f32', /must be a typed array/],
    ['a number as its shape', Float32Array.of(1), 1, 'f32', /its shape must be a list of whole numbers, not 1/],
    ['no shape', Float32Array.of(1), undefined, 'f32', /not undefined/],
    ['half a size', Float32Array.of(1), [0.5, 2], 'f32', /not 0\.5,2/],
    ['a size below zero', Float32Array.of(1), [-1, -1], 'f32', /not -1,-1/],
    ['a size of text', Float32Array.of(1), ['1'], 'f32', /whole numbers/],
    ['no such dtype', Float32Array.of(1), [1], 'f64', /there is no dtype f64; there are f32, /],
    ['a method as its dtype', Float32Array.of(1), [1], 'toString', /there is no dtype toString/],
    ['half a block', new Uint8Array(34), [16], 'q8_0', /q8_0\[16\] has no whole number of blocks of 32/],
  ];
  it.each(cases)('refuses %s, before anything is allocated', (_, data, shape, dtype, message) => {
    const before = gpu.counters.bytes;
    const make = () => variableFrom(gpu, data as Float32Array, shape as number[], { dtype: dtype as DType, name: 'w' });
    expect(make).toThrow(VariableError);
    expect(make).toThrow(message);
    expect(gpu.counters.bytes).toBe(before);
  });
});
