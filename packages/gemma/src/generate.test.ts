import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Generator, GeneratorStateError } from './generate.js';
import { planGeneration } from './generation-plan.js';
import type { ModelConfig } from './families/family.js';
import { gemmaPresets } from './families/gemma/presets.js';
import { paliGemmaPresets } from './families/paligemma/presets.js';
import { modelOf } from './families/registry.js';
import { initialParam } from './models/initial-param.js';
import { paramTree, planVariables, type ParamPlan } from './models/variables.js';
import { PromptImagesError } from './text/prompt-images-error.js';
import { createRandom } from './text/sampling.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const sizes = {
  vocabSize: 24,
  hiddenSize: 8,
  intermediateSize: 8,
  numLayers: 1,
  numHeads: 1,
  numKvHeads: 1,
  headDim: 8,
};
const text = { ...gemmaPresets['gemma-2b'], ...sizes, layerTypes: ['global'] as const };
const vision = { ...sizes, imageSize: 4, patchSize: 2, layerNormEps: 1e-6 };
const pictured = { ...paliGemmaPresets['paligemma-3b-224'], text, vision };
const prompt = { tokens: [2, 7, 5] };
const options = { maxNewTokens: 4, stopTokens: [] };

/** A generator of a made-up model, and what its parameters take on the device. */
function madeUp(config: ModelConfig) {
  const model = modelOf(config);
  const plans = new Map<string, ParamPlan>();
  for (const { path, shape } of model.params) plans.set(path, { shape, dtype: 'f32', category: 'weights' });
  const variables = planVariables(plans);
  const random = createRandom(1);
  for (const spec of model.params)
    variables
      .get(spec.path)!
      .allocate(gpu)
      .write(initialParam(spec, spec.shape, random));
  const { bytes } = gpu.counters;
  const generator = new Generator(gpu, planGeneration(gpu.profile, paramTree(variables), model, { maxLength: 16 }));
  return { generator, bytes };
}

async function answer(generator: Generator): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of generator.generate(prompt, options)) tokens.push(token);
  return tokens;
}

describe('a generator', () => {
  it('makes a program again that could not be made, and gives everything back', async () => {
    const { generator, bytes } = madeUp(text);
    const get = vi.spyOn(gpu.pipelines, 'get').mockRejectedValue(new Error('no memory'));
    await expect(generator.nextLogits(prompt)).rejects.toThrow('no memory');
    get.mockRestore();
    expect(await generator.nextLogits(prompt)).toHaveLength(sizes.vocabSize);
    await generator.destroy();
    expect(gpu.counters.bytes).toBe(bytes);
  });

  it('gives everything back where a program could not be made', async () => {
    const { generator, bytes } = madeUp(text);
    await generator.nextLogits(prompt);
    const get = vi.spyOn(gpu.pipelines, 'get').mockRejectedValue(new Error('no memory'));
    const failing = expect(generator.nextLogits({ tokens: [2] })).rejects.toThrow('no memory');
    await generator.destroy();
    await failing;
    get.mockRestore();
    expect(gpu.counters.bytes).toBe(bytes);
  });

  it('makes one answer at a time, since it has one cache', async () => {
    const { generator } = madeUp(text);
    const whole = await answer(generator);
    expect(whole).toHaveLength(4);

    const first = generator.generate(prompt, options);
    const found = [(await first.next()).value];
    await expect(generator.nextLogits({ tokens: [2, 9, 9, 9] })).rejects.toBeInstanceOf(GeneratorStateError);
    await expect(answer(generator)).rejects.toThrow(/has one cache: end that one first/);
    for await (const token of first) found.push(token);
    expect(found).toEqual(whole);

    // One that ends early, by hand or by an error, leaves the way free.
    for await (const token of generator.generate(prompt, options)) {
      expect(token).toBe(whole[0]);
      break;
    }
    const left = generator.generate(prompt, options);
    await left.next();
    await left.return();
    await expect(generator.nextLogits({ tokens: [] })).rejects.toThrow(/is empty/);
    expect(await answer(generator)).toEqual(whole);
    await generator.destroy();
  });

  it('goes on with nothing after it was destroyed', async () => {
    const { generator, bytes } = madeUp(text);
    const open = generator.generate(prompt, options);
    await open.next();
    await generator.destroy();
    await expect(open.next()).rejects.toBeInstanceOf(GeneratorStateError);
    await expect(generator.nextLogits(prompt)).rejects.toThrow(/was destroyed/);
    expect(gpu.counters.bytes).toBe(bytes);
  });

  it('refuses a prompt without a picture where the model answers about one', async () => {
    const { generator } = madeUp(pictured);
    const patches = Float32Array.from({ length: 4 * 12 }, (_, i) => Math.sin(i));
    for (const without of [prompt, { ...prompt, patches: new Float32Array() }]) {
      await expect(generator.nextLogits(without)).rejects.toBeInstanceOf(PromptImagesError);
      await expect(generator.generate(without, options).next()).rejects.toThrow(/PaliGemma answers about a picture/);
    }
    expect(await generator.nextLogits({ ...prompt, patches })).toHaveLength(sizes.vocabSize);
    const tokens: number[] = [];
    for await (const token of generator.generate({ ...prompt, patches }, options)) tokens.push(token);
    expect(tokens).toHaveLength(4);
    await generator.destroy();
  });
});
