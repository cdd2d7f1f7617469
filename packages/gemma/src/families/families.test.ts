import { describe, expect, it } from 'vitest';
import { ConfigError, UnknownModelError } from '../config/errors.js';
import { loraSpecs } from '../models/lora.js';
import type { ModelConfig } from './family.js';
import type { HfConfig, HfFiles, Layout } from './layout.js';
import { embeddinggemma } from './embeddinggemma/family.js';
import { gemma3 } from './gemma/family.js';
import { gemmaPresets } from './gemma/presets.js';
import { paliGemmaPresets } from './paligemma/presets.js';
import { familyOf, familiesOfNpz, familyOfGguf, familyOfHf } from './find-family.js';
import {
  families,
  imagePresets,
  loraTargets,
  modelOf,
  modelPresets,
  type ModelPresetName,
  towers,
} from './registry.js';

// Published totals of the text models with the official vocabulary, and of the arrays of big_vision's files.
const totals: Partial<Record<ModelPresetName, number>> = {
  'gemma-2b': 2_506_172_416,
  'gemma-7b': 8_537_680_896,
  'gemma-2-2b': 2_614_341_888,
  'gemma-2-9b': 9_241_705_984,
  'gemma-2-27b': 27_227_128_320,
  'gemma-3-270m': 268_098_176,
  'gemma-3-1b': 999_885_952,
  'gemma-3-4b': 3_880_099_328,
  'gemma-3-12b': 11_765_788_416,
  'gemma-3-27b': 27_009_002_240,
  // Text parts, the numbers that scale layers included.
  'gemma-4-e2b': 4_628_569_344 + 35,
  'gemma-4-e4b': 7_463_013_376 + 42,
  'gemma-4-12b': 11_907_350_272 + 48,
  'gemma-4-31b': 30_697_345_280 + 60,
  // The text model, and two linears between 768 and 3072.
  'embeddinggemma-300m': 302_863_104 + 2 * 2_359_296,
  // The text part, its head included, and the numbers that scale layers.
  'embeddinggemma-2': 134_217_728 + 136_784_896 + 24,
  'paligemma-3b-224': 2_923_335_408,
};

const pictured = paliGemmaPresets['paligemma2-3b-224'];
const presets: [string, ModelConfig][] = Object.entries(modelPresets);

/** Rules of a layout that a parameter's path fits. */
function rulesFor({ rules }: Layout, path: string, layer: number | undefined) {
  return rules.filter((rule) => rule.path.replace('{i}', String(layer)) === path);
}

describe.each(presets)('%s', (name, config) => {
  const family = familyOf(config, families);
  const model = modelOf(config);
  const { params } = model;

  it('has parameters that stand where they say', () => {
    const total = totals[name as ModelPresetName];
    const sizes = params.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    if (total !== undefined) expect(sizes.reduce((a, b) => a + b, 0)).toBe(total);
    expect(new Set(params.map(({ path }) => path)).size).toBe(params.length);
    for (const { path, shape, role, tower, layer, block } of params) {
      expect(
        shape.every((size) => Number.isSafeInteger(size) && size > 0),
        path,
      ).toBe(true);
      expect(family.towers).toContain(tower);
      if (role === 'linear') {
        expect(shape, path).toHaveLength(2);
        expect(family.linears).toContain(path.split('.').at(-2));
        expect(path.endsWith('.weight')).toBe(true);
      }
      expect(path.endsWith('.bias'), path).toBe(role === 'bias');
      // Whatever is in a layer is in a block too, and its path says which layer.
      expect(block === undefined, path).toBe(layer === undefined);
      if (layer !== undefined) expect(path.split('.')).toContain(String(layer));
    }
    expect(params.find(({ path }) => path === model.embeddingPath)).toMatchObject({
      role: 'table',
      shape: [model.vocabSize, model.hiddenSize],
    });
    expect([...new Set(params.flatMap(({ block }) => block ?? []))].sort((a, b) => a - b)).toEqual(
      Array.from({ length: model.numBlocks }, (_, i) => i),
    );
    const adapted = new Set([...loraSpecs(params, { rank: 1, alpha: 1 }).values()].map(({ linear }) => linear));
    const names = new Set([...adapted].map((path) => path.split('.').at(-1)));
    // Some sizes do without what others have.
    const missing = family.linears.filter((linear) => !names.has(linear));
    expect(missing.every((linear) => linear.startsWith('perLayer')) && missing.length < 4).toBe(true);
    if (name !== 'gemma-4-12b' && name !== 'gemma-4-31b') expect(missing).toEqual([]);
  });

  it('has layers that keys and values can be kept of', () => {
    for (const [i, layer] of model.layers.entries()) {
      expect(layer.numHeads % layer.numKvHeads).toBe(0);
      expect(layer.kvFrom).toBeLessThanOrEqual(i);
      expect(model.layers[layer.kvFrom]!.kvFrom).toBe(layer.kvFrom);
    }
  });

  it('has a place in each format for every parameter, and no rule for none', () => {
    for (const layout of Object.values(model.layouts)) {
      const used = params.map(({ path, layer }) => rulesFor(layout, path, layer));
      expect(used.every((rules) => rules.length > 0)).toBe(true);
      expect(new Set(used.flat()).size, layout.id).toBe(layout.rules.length);
    }
    for (const { prefix, model: part } of Object.values(model.parts)) {
      const inside = params.filter(({ path }) => path.startsWith(prefix));
      expect(inside.map(({ path }) => path.slice(prefix.length))).toEqual(part.params.map(({ path }) => path));
    }
  });

  it('writes a config.json that its family reads', async () => {
    const json = JSON.parse(JSON.stringify(model.toHf())) as HfConfig;
    const read = familyOfHf(json, families);
    expect(read.id).toBe(family.id);
    const files = JSON.parse(JSON.stringify(model.hfFiles?.() ?? {})) as HfFiles;
    const gathered = (await read.hf.gather?.(async (file) => files[file])) ?? {};
    expect(gathered).toEqual(files);
    expect(read.hf.read(json, undefined, gathered)).toEqual(config);
  });
});

it('tells families apart that share a model type', () => {
  const causal = { model_type: 'gemma3_text' };
  const bothWays = { ...causal, use_bidirectional_attention: true };
  expect(familyOfHf(causal, families).id).toBe('gemma3');
  expect(familyOfHf(bothWays, families).id).toBe('embeddinggemma');
  expect(familyOfHf(bothWays, [...families].reverse()).id).toBe('embeddinggemma');
  // The only one says why it is none of its own.
  expect(() => familyOfHf(causal, [embeddinggemma]).hf.read(causal)).toThrow(/use_bidirectional_attention is missing/);
  expect(() => familyOfHf(bothWays, [gemma3]).hf.read(bothWays)).toThrow(/use_bidirectional_attention is true/);
});

it('finds families by what files say', () => {
  expect(familyOfHf({ model_type: 'gemma3' }, families).id).toBe('gemma3');
  expect(familyOfGguf('gemma', families).id).toBe('gemma1');
  expect(familiesOfNpz(families).map(({ id }) => id)).toEqual(['paligemma']);
  expect(familiesOfNpz([familyOfHf({ model_type: 'gemma2' }, families)])).toEqual([]);
  expect(() => familyOfHf({ model_type: 'llama' }, [familyOfHf({ model_type: 'gemma2' }, families)])).toThrow(
    /Supported: gemma2\./,
  );
  expect(() => familyOfGguf('constructor', families)).toThrow(UnknownModelError);
  expect(() => modelOf({ family: 'llama' })).toThrow(
    /"llama".*Supported: gemma1, gemma2, gemma3, gemma4, embeddinggemma, embeddinggemma2, gemma3-vision, paligemma\./,
  );
});

it.each<[string, ModelConfig & Readonly<Record<string, unknown>>, string]>([
  ['a size', { ...gemmaPresets['gemma-2b'], hiddenSize: 2048.5 }, 'hiddenSize'],
  ['heads', { ...gemmaPresets['gemma-2-2b'], numKvHeads: 3 }, 'numKvHeads'],
  ['a soft-cap', { ...gemmaPresets['gemma-2-2b'], finalLogitSoftcap: -30 }, 'finalLogitSoftcap'],
  ['a window', { ...gemmaPresets['gemma-3-1b'], slidingWindow: 512.5 }, 'slidingWindow'],
  ['a missing window', { ...gemmaPresets['gemma-3-1b'], slidingWindow: null }, 'slidingWindow'],
  ['too few layers', { ...gemmaPresets['gemma-3-1b'], layerTypes: ['global'] }, 'layerTypes'],
  ['a kind of layer', { ...gemmaPresets['gemma-2b'], numLayers: 1, layerTypes: ['full'] }, 'layerTypes'],
  ['a decoder', { ...pictured, text: { ...pictured.text, finalLogitSoftcap: -30 } }, 'finalLogitSoftcap'],
  ['its generation', { ...pictured, text: gemmaPresets['gemma-3-1b'] }, 'text_config.model_type'],
  ['its local layers', { ...pictured, text: gemmaPresets['gemma-2-2b'] }, 'text.layerTypes'],
  ['a tower', { ...pictured, vision: { ...pictured.vision, imageSize: 225 } }, 'vision.imageSize'],
  ['a token', { ...pictured, imageTokenId: -1 }, 'image_token_index'],
])('refuses a configuration in code that can be no model’s: %s', (_, config, field) => {
  const refusal = (() => {
    try {
      return modelOf(config);
    } catch (error) {
      return error;
    }
  })();
  expect(refusal).toBeInstanceOf(ConfigError);
  expect(refusal).toMatchObject({ field });
});

it('lists what its families have', () => {
  expect(new Set(families.map(({ id }) => id)).size).toBe(families.length);
  expect(loraTargets).toEqual([
    'qProj',
    'kProj',
    'vProj',
    'oProj',
    'gateProj',
    'upProj',
    'downProj',
    'perLayerInputGate',
    'perLayerProjection',
    'perLayerModelProjection',
    'dense',
    'outProj',
    'fc1',
    'fc2',
    'projector',
  ]);
  expect(towers).toEqual(['language', 'head', 'vision', 'projector']);
  expect(imagePresets).toEqual(['big-vision', 'hugging-face', 'gemma3-hugging-face']);
});
