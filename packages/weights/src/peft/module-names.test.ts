// What we write is read by a Python class that has names of its own: they are transformers' (test/fixtures/make_module_names.py).
import { families, familyOfHf, loraSpecs, loraUpdates, modelOf, type HfConfig, type Model } from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { peftFileBytes } from '../../../../test/support/peft-files.js';
import { fixtureJson } from '../../../../test/support/safetensors-fixture.js';
import { openSafetensors } from '../safetensors/read.js';
import { bufferSource } from '../source/byte-source.js';
import { isNamed, readModuleNames } from './module-patterns.js';
import { peftAdapterFiles } from './write.js';

interface PythonClass {
  readonly class: string;
  readonly config: HfConfig & { readonly model_type: string };
  readonly modules: readonly string[];
}
const classesOf = async (version: string) =>
  (await fixtureJson<{ classes: PythonClass[] }>(`module-names/transformers-${version}.json`)).classes;
const names = ['GemmaForCausalLM', 'Gemma2ForCausalLM', 'Gemma3ForCausalLM'];
const multimodal = ['Gemma3ForConditionalGeneration', 'PaliGemmaForConditionalGeneration'];

function modelOfConfig(config: PythonClass['config']): Model {
  return modelOf(familyOfHf(config, families).hf!.read(config));
}

/** Modules of an adapter of these towers, by its tensors and by its target_modules, which PEFT looks for among all `modules`. */
async function adapted(
  model: Model,
  baseConfig: HfConfig | undefined,
  modules: readonly string[],
  towers: readonly string[],
) {
  const lora = { rank: 1, alpha: 1, targets: ({ tower }: { tower: string }) => towers.includes(tower) };
  const specs = [...loraSpecs(model.params, lora)];
  const tensors = new Map(specs.map(([path, { shape }]) => [path, new Float32Array(shape[0]! * shape[1]!)]));
  const updates = loraUpdates(model.params, lora);
  const files = await peftFileBytes(peftAdapterFiles({ model, updates, tensors, ...(baseConfig && { baseConfig }) }));
  const stored = await openSafetensors(bufferSource('x', files['adapter_model.safetensors']));
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as Record<string, unknown>;
  const targets = readModuleNames(config['target_modules'], (problem) => {
    throw new Error(problem);
  });
  return {
    inFile: [
      ...new Set([...stored.tensors.keys()].map((name) => /^base_model\.model\.(.+)\.lora_/.exec(name)![1]!)),
    ].sort(),
    byTargets: modules.filter((module) => isNamed(targets, module)).sort(),
  };
}

describe.each(['5.24', '4.57'])('transformers %s', (version) => {
  it.each([...names, ...multimodal])('finds every module of an adapter of a %s, and no other', async (name) => {
    const { config, modules } = (await classesOf(version)).find((c) => c.class === name)!;
    const ofLanguage = modules
      .filter((module) => module !== 'lm_head' && !/vision_tower|projector/.test(module))
      .sort();
    expect(await adapted(modelOfConfig(config), config, modules, ['language'])).toEqual({
      inFile: ofLanguage,
      byTargets: ofLanguage,
    });
  });
});

it('finds those of PaliGemma’s other towers, as transformers 5 names them', async () => {
  const { config, modules } = (await classesOf('5.24')).find((c) => c.class === multimodal[1])!;
  const all = modules.filter((module) => module !== 'lm_head').sort();
  const towers = ['language', 'vision', 'projector'];
  expect(await adapted(modelOfConfig(config), config, modules, towers)).toEqual({ inFile: all, byTargets: all });
});

it('gives text models the names of every version', async () => {
  for (const { class: name, config, modules } of await classesOf('4.51')) {
    const { inFile } = await adapted(modelOfConfig(config), config, modules, ['language']);
    // Before 4.52 multimodal classes had other names.
    expect(
      inFile.every((module) => modules.includes(module)),
      name,
    ).toBe(names.includes(name));
  }
});

describe('a Gemma 3 of which only the weights are known', () => {
  const modules: string[] = [];
  const module = async (layers: number, base?: HfConfig) => {
    const config = (await classesOf('5.24')).find((c) => c.class === 'Gemma3ForCausalLM')!.config;
    const model = modelOfConfig({ ...config, num_hidden_layers: layers, layer_types: undefined });
    return (await adapted(model, base, modules, ['language'])).inFile[0];
  };
  it.each([
    [18, 'model.layers'],
    [26, 'model.layers'],
    [34, 'model.language_model.layers'],
    [62, 'model.language_model.layers'],
  ])('with %i layers is named as it is published', async (layers, start) => {
    expect(await module(layers)).toMatch(new RegExp(`^${start}\\.0\\.`));
  });
  it.each<[HfConfig, string]>([
    [{ architectures: ['Gemma3ForCausalLM'] }, 'model.layers'],
    [{ architectures: ['Gemma3ForConditionalGeneration'] }, 'model.language_model.layers'],
    [{ model_type: 'gemma3_text', architectures: null }, 'model.layers'],
    [{ model_type: 'gemma3', architectures: ['OfMine'] }, 'model.language_model.layers'],
  ])('is named as its config.json says: %j', async (base, start) => {
    for (const layers of [18, 34]) expect(await module(layers, base)).toMatch(new RegExp(`^${start}\\.0\\.`));
  });
});
