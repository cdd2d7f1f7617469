// What callers without types may hand over in place of what is asked for.
import {
  ConfigError,
  decodeImage,
  gemmaConfigFromGguf,
  gemmaConfigFromHf,
  ImageError,
  modelOf,
  paliGemmaConfigFromHf,
  tokenizerFromGguf,
  tokenizerFromJson,
  tokenizerFromSentencePiece,
  TokenizerError,
  UnknownModelError,
} from '@lapidary/gemma';
import { modelWeightLoader, openModelSource, WeightSourceError } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';

type Call = (value: never) => unknown;

const calls: readonly (readonly [string, Call, new (...args: never[]) => Error, unknown[]])[] = [
  [
    'tokenizerFromJson',
    tokenizerFromJson as Call,
    TokenizerError,
    ['{"model":{}}', null, undefined, 5, true, [], Symbol.iterator],
  ],
  ['tokenizerFromGguf', tokenizerFromGguf as Call, TokenizerError, ['x', null, undefined, 5, []]],
  [
    'tokenizerFromSentencePiece',
    tokenizerFromSentencePiece as Call,
    TokenizerError,
    ['x', null, undefined, 1e9, [1, 2], {}],
  ],
  ['gemmaConfigFromHf', gemmaConfigFromHf as Call, ConfigError, ['{}', null, undefined, 5, []]],
  ['paliGemmaConfigFromHf', paliGemmaConfigFromHf as Call, ConfigError, ['{}', null, undefined, 5, []]],
  ['gemmaConfigFromGguf', gemmaConfigFromGguf as Call, ConfigError, ['{}', null, undefined, 5, []]],
  ['modelOf', modelOf as Call, UnknownModelError, ['gemma3', null, undefined, 5, {}, { family: 7 }]],
  ['decodeImage', decodeImage as Call, ImageError, ['cat.png', null, undefined, 1e9, [1, 2], {}]],
  ['openModelSource', openModelSource as Call, WeightSourceError, [null, undefined, 5, {}, [5], [null], { read: 1 }]],
  [
    'modelWeightLoader',
    ((from: never) => modelWeightLoader({ from }).open()) as Call,
    WeightSourceError,
    [null, 5, {}, [{}], { name: 'x' }],
  ],
];

describe.each(calls)('%s', (_, call, error, values) => {
  it.each(values.map((value) => [String(typeof value === 'object' ? JSON.stringify(value) : String(value)), value]))(
    '%s',
    async (_, value) => {
      const called = async () => call(value as never);
      await expect(called()).rejects.toBeInstanceOf(error);
      await expect(called()).rejects.toThrow(/\w{3}/);
    },
  );
});
