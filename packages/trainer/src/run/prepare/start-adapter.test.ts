import { gemmaConfigFromHf, modelOf, type HfConfig, type LoraUpdate } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { fixtureJson } from '../../../../../test/support/safetensors-fixture.js';
import { createLoraOverride, createLoraTargetFilter, createSavedFilter } from '../../config/path-patterns.js';
import { loraOf } from './start-adapter.js';

const adapter = (updates: Record<string, readonly [rank: number, alpha: number]>, params: readonly string[] = []) => ({
  updates: new Map(
    Object.entries(updates).map(([path, [rank, alpha]]): [string, LoraUpdate] => [path, { rank, alpha, scale: 1 }]),
  ),
  tensors: new Map<string, Float32Array>(),
  params: new Map(params.map((path) => [path, new Float32Array(1)])),
  rslora: true,
  dropout: 0.25,
  splitsEmbedding: false,
});

it('is a LoRA of just the linears of the adapter, each with its rank and alpha', async () => {
  const model = modelOf(gemmaConfigFromHf(await fixtureJson<HfConfig>('models/gemma3-tiny/config.json')));
  const wanted = {
    'layers.1.attn.qProj': [2, 3],
    'layers.0.attn.qProj': [4, 8],
    'layers.2.mlp.upProj': [4, 5],
  } as const;
  const lora = loraOf(adapter(wanted, ['layers.1.mlp.downProj.weight', 'embedTokens.weight']));
  const isTarget = createLoraTargetFilter(lora);
  const linears = model.params.filter((spec) => spec.role === 'linear' && isTarget(spec)).map(({ path }) => path);
  expect(linears.sort()).toEqual(
    Object.keys(wanted)
      .map((path) => `${path}.weight`)
      .sort(),
  );
  const override = createLoraOverride(lora);
  for (const [path, [rank, alpha]] of Object.entries(wanted)) expect(override(path)).toEqual({ rank, alpha });
  expect(
    model.params
      .map(({ path }) => path)
      .filter(createSavedFilter(lora))
      .sort(),
  ).toEqual(['embedTokens.weight', 'layers.1.mlp.downProj.weight']);
  expect(lora).toMatchObject({ rslora: true, dora: false, dropout: 0.25, layers: null });
});

it('tells linears of two towers apart whose paths end alike', () => {
  const lora = loraOf(adapter({ 'layers.0.attn.qProj': [4, 8], 'vision.layers.0.attn.qProj': [2, 6] }));
  const override = createLoraOverride(lora);
  expect(override('layers.0.attn.qProj')).toEqual({ rank: 4, alpha: 8 });
  expect(override('vision.layers.0.attn.qProj')).toEqual({ rank: 2, alpha: 6 });
  const isTarget = createLoraTargetFilter(lora);
  const at = (path: string, tower: string) => isTarget({ path: `${path}.weight`, tower, layer: 0 });
  expect(at('vision.layers.0.attn.qProj', 'vision')).toBe(true);
  expect(at('other.layers.0.attn.qProj', 'vision')).toBe(false);
  expect(at('layersX0.attn.qProj', 'language')).toBe(false);
});

it('has one rank and alpha where all have the same', () => {
  const lora = loraOf(adapter({ 'layers.0.attn.qProj': [4, 8], 'layers.0.attn.vProj': [4, 8] }));
  expect(lora).toMatchObject({ rank: 4, alpha: 8, rankPattern: {}, alphaPattern: {} });
});

it('refuses an adapter without a LoRA, and one that split the table of words', () => {
  expect(() => loraOf(adapter({}, ['embedTokens.weight']))).toThrow(
    /holds modules that were trained whole, and no LoRA/,
  );
  const apart = { ...adapter({ 'layers.0.attn.qProj': [4, 8] }), splitsEmbedding: true };
  expect(() => loraOf(apart)).toThrow(/were trained apart/);
});
