import { expect, test } from 'vitest';
import { baseWeightsKey, decodeBaseWeights, encodeBaseWeights } from './base-weights.js';

const decode = (text: string) => decodeBaseWeights({ [baseWeightsKey]: text }, 'adapter_model.safetensors');

test('what is said of a base is read as it was written, by earlier versions too', () => {
  for (const hash of ['0123abcd', '0123abcd4567ef89']) {
    const base = { format: 'gguf', tensors: new Map([['layers.0.attn.qProj.weight', `q8_0 ${hash}`]]) } as const;
    expect(decode(encodeBaseWeights(base))).toEqual(base);
  }
  expect(decodeBaseWeights({ format: 'pt' }, 'x')).toBeUndefined();
});

test.each([
  '',
  'null',
  '{}',
  '{"format": "gguf"}',
  '{"format": "zip", "tensors": {}}',
  '{"format": "gguf", "tensors": {"a": 3}}',
  '{"format": "gguf", "tensors": {"a": "f32 xyz"}}',
  '{"format": "gguf", "tensors": {"a": "f32 0123abcd45"}}',
])('%s is refused by file and field', (text) => {
  expect(() => decode(text)).toThrow(/adapter_model\.safetensors: its metadata 'lapidary_base_weights'/);
});
