// What callers without types may hand over in place of what is asked for: each operation says so with an error of the package.
import { describe, expect, it } from 'vitest';
import * as T from './index.js';

const typed = [T.TensorShapeError, T.VariableError];

const tensor = T.input('x', { shape: [2, 4], dtype: 'f32' });
const mistakes: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['a number', -1.5],
  ['a text', 'x'],
  ['an object', {}],
  ['an empty list', []],
  ['a list of nothing', [undefined]],
  ['numbers', new Float32Array(3)],
  ['a symbol', Symbol('x')],
];

/** For those who write operations, and reports of what the package itself gave: they take what types say. */
const forBuilders = new Set([
  ...[
    'broadcastShapes',
    'nodesBelow',
    'formatType',
    'sizeOf',
    'sharedInputBytes',
    'sharedSlotBytes',
    'treeEntries',
    'treeFromEntries',
  ],
  ...['copySpeed', 'leastNanoseconds', 'measureCeiling', 'sumByKernel', 'profileClock'],
]);

const isClass = (value: unknown) => /^class\b/.test(Function.prototype.toString.call(value));
const calls = Object.entries(T).filter(
  ([name, value]) => typeof value === 'function' && !isClass(value) && !forBuilders.has(name),
) as unknown as readonly (readonly [string, (...values: unknown[]) => unknown])[];

async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

it('all operations are asked', () => expect(calls.length).toBeGreaterThan(60));

describe.each(calls)('%s', (_, call) => {
  it.each(mistakes)('takes %s, in any place, or says what is wrong', async (_, mistake) => {
    const lists = [
      [],
      [mistake],
      ...[1, 2, 3, 4, 5].map((before) => [...Array<unknown>(before).fill(tensor), mistake]),
      [mistake, tensor, tensor, tensor, tensor, tensor],
      Array<unknown>(6).fill(mistake),
    ];
    for (const values of lists) {
      const error = await thrownBy(() => call(...values));
      if (error === undefined) continue;
      expect(
        typed.some((kind) => error instanceof kind),
        String((error as Error).stack),
      ).toBe(true);
    }
  });
});

describe('the argument is named', () => {
  const any = (value: unknown) => value as never;
  it.each<[string, () => unknown, RegExp]>([
    ['sum', () => T.sum(any(undefined)), /^sum: x must be a tensor, not undefined$/],
    ['sum', () => T.sum(tensor, any('0')), /^sum: axes must be a list, not a string$/],
    ['add', () => T.add(tensor, any(null)), /^add: operand 2 must be a tensor, not null$/],
    ['concat', () => T.concat(any(tensor), 0), /^concat: parts must be a list, not a tensor$/],
    ['reshape', () => T.reshape(tensor, any(8)), /^reshape: shape must be a list, not 8$/],
    ['matmul', () => T.matmul(tensor, any([[1]])), /^matmul: b must be a tensor, not a list$/],
    ['rmsNorm', () => T.rmsNorm(tensor, tensor, any(1e-6)), /^rmsNorm: options must be an object, not 0\.000001$/],
    ['adamw', () => T.adamw(any({})), /^adamw: param must be a tensor, not undefined$/],
    ['sgd', () => T.sgd(any(undefined)), /^sgd: args must be an object, not undefined$/],
    ['linear', () => T.linear(tensor, any({ weight: 3 })), /^linear: weight must be a tensor, not 3$/],
    [
      'constant',
      () => T.constant(1, any([2, -1])),
      /^constant: its shape must be a list of whole numbers, not \[2, -1\]$/,
    ],
    ['input', () => T.input('x', any({ shape: [2] })), /^input 'x': there is no dtype undefined/],
    [
      'compile',
      () =>
        T.compile(
          any({}),
          any(() => 0),
        ),
      /^compile: gpu must be a device's, as openGpu gives it/,
    ],
    ['valueAndGrad', () => T.valueAndGrad(any(tensor)), /^valueAndGrad: fn must be a function, not a tensor$/],
    [
      'variableFrom',
      () => T.variableFrom(any(null), new Float32Array(2), [2]),
      /gpu must be what openGpu gives, not null/,
    ],
    ['variableFrom', () => T.variableFrom(any(null), new Float32Array(1), [2]), /takes 8 bytes, and its values have 4/],
  ])('%s', (_, call, message) => expect(call).toThrow(message));
});
