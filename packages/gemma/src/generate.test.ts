import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Generator, GeneratorStateError } from './generate.js';
import { GenerationPlan, planGeneration, type GenerationOptions, type ModelPrompt } from './generation-plan.js';
import type { ModelConfig } from './families/family.js';
import type { GemmaConfig } from './families/gemma/config.js';
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
/** Tokens after so many pictures, of which each takes 4 places. */
const after = (pictures: number, tokens: readonly number[] = prompt.tokens) => [
  ...new Array<number>(4 * pictures).fill(pictured.imageTokenId),
  ...tokens,
];
const options = { maxNewTokens: 4, stopTokens: [] };

/** A generator of a made-up model, and what its parameters take on the device. */
function madeUp(config: ModelConfig, rows = 1, options: Partial<GenerationOptions> = {}) {
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
  const generator = new Generator(
    gpu,
    planGeneration(gpu.profile, paramTree(variables), model, { maxLength: 16, rows, ...options }),
  );
  return { generator, bytes };
}

async function answer(generator: Generator, asked: ModelPrompt = prompt, maxNewTokens = 4): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of generator.generate(asked, { ...options, maxNewTokens })) tokens.push(token);
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
    await vi.waitFor(() => expect(get).toHaveBeenCalled());
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
    await expect(generator.nextLogits({ ...prompt, patches })).rejects.toThrow(
      /1 pictures take 4 places among the tokens, but 0/,
    );
    await expect(generator.nextLogits({ tokens: after(1) })).rejects.toThrow(/0 pictures take 0 places/);
    expect(await generator.nextLogits({ tokens: after(1), patches })).toHaveLength(sizes.vocabSize);
    const tokens: number[] = [];
    for await (const token of generator.generate({ tokens: after(1), patches }, options)) tokens.push(token);
    expect(tokens).toHaveLength(4);
    await generator.destroy();
  });
});

describe('a generator of several rows', () => {
  const prompts = [[2, 7, 5], [2], [2, 9, 11, 4, 6, 3, 20, 8], [2, 23, 1, 1]].map((tokens) => ({ tokens }));

  it('answers each as by itself, however many come at once, and whoever ends first', async () => {
    const { generator: single } = madeUp(text);
    const { generator, bytes } = madeUp(text, 3);
    const lengths = [7, 3, 5, 6];
    const alone: number[][] = [];
    for (const [i, asked] of prompts.entries()) alone.push(await answer(single, asked, lengths[i]));
    await single.destroy();
    // The fourth comes when the second is done, and has its row.
    const [first, third] = [0, 2].map((i) => answer(generator, prompts[i], lengths[i]));
    const second = answer(generator, prompts[1], lengths[1]).then(async (found) => [
      found,
      await answer(generator, prompts[3], lengths[3]),
    ]);
    const [found1, found4] = await second;
    expect([await first, found1, await third, found4]).toEqual(alone);
    await generator.destroy();
    expect(gpu.counters.bytes).toBe(bytes);
  });

  it('takes the next tokens of all in one run, and waits for none that is not asked', async () => {
    const { generator } = madeUp(text, 3);
    const submit = vi.spyOn(gpu, 'submit');
    const runsOf = async (count: number) => {
      submit.mockClear();
      await Promise.all(prompts.slice(0, count).map((asked) => answer(generator, asked)));
      return submit.mock.calls.length;
    };
    await runsOf(3);
    // A run is two submissions: the kernels, and what is read back. Prompts are taken in one by one, and the last may come a run late.
    const [one, three] = [await runsOf(1), await runsOf(3)];
    expect(one).toBe(2 * 4);
    expect(three).toBeLessThanOrEqual(2 * (3 + 4));

    const paused = generator.generate(prompts[2]!, options);
    const began = (await paused.next()).value;
    const others = await answer(generator);
    expect(others).toEqual(await answer(generator));
    const rest = [began];
    for await (const token of paused) rest.push(token);
    expect(rest).toEqual(await answer(generator, prompts[2]));
    submit.mockRestore();
    await generator.destroy();
  });

  it('has a row for each answer, and says so where there are more', async () => {
    const { generator } = madeUp(text, 2);
    const open = [0, 1].map((i) => generator.generate(prompts[i]!, options));
    for (const each of open) await each.next();
    await expect(generator.nextLogits(prompt)).rejects.toThrow(/makes 2 other answers/);
    await open[0]!.return();
    expect(await generator.nextLogits(prompt)).toHaveLength(sizes.vocabSize);
    const failing = open[1]!.next();
    await generator.destroy();
    await expect(failing).rejects.toBeInstanceOf(GeneratorStateError);
    expect(() => madeUp(text, 0)).toThrow(RangeError);
  });

  it('answers about pictures and without them side by side', async () => {
    const { generator: single } = madeUp({ ...pictured }, 1);
    const { generator } = madeUp(pictured, 2);
    const asked = [1, 2].map((factor) => ({
      tokens: after(factor),
      patches: Float32Array.from({ length: 4 * 12 * factor }, (_, i) => Math.sin(i * factor)),
    }));
    const alone = [await answer(single, asked[0]), await answer(single, asked[1])];
    expect(await Promise.all(asked.map((each) => answer(generator, each)))).toEqual(alone);
    await single.destroy();
    await generator.destroy();
  });
});

describe('a generator that reuses what a prompt begins with', () => {
  const layers = { numLayers: 2, layerTypes: ['local', 'global'], slidingWindow: 8 } as const;
  const models: readonly (readonly [string, GemmaConfig])[] = [
    ['gemma1', { ...text, numLayers: 2, layerTypes: ['global', 'global'] }],
    ['gemma2', { ...gemmaPresets['gemma-2-2b'], ...sizes, ...layers }],
    ['gemma3', { ...gemmaPresets['gemma-3-270m'], ...sizes, ...layers }],
  ];
  const said = (length: number, seed: number) => Array.from({ length }, (_, i) => 2 + ((i * 7 + seed * i * i) % 22));
  /** What a run of the program for the rest of a prompt was asked for. */
  const rests = () => vi.spyOn(GenerationPlan.prototype, 'rest');

  it.each(models)('answers a %s turn by turn as one that reads all of each turn', async (_, config) => {
    const { generator: whole } = madeUp(config, 1, { maxLength: 160 });
    const { generator, bytes } = madeUp(config, 1, { maxLength: 160, reusesPrefix: true });
    const rest = rests();
    const both = async (tokens: readonly number[], shared: number) => {
      rest.mockClear();
      const found = await answer(generator, { tokens }, 6);
      expect(found).toEqual(await answer(whole, { tokens }, 6));
      expect(rest.mock.calls).toEqual(shared === 0 ? [] : [[tokens.length - shared]]);
      const [logits, known] = [await generator.nextLogits({ tokens }), await whole.nextLogits({ tokens })];
      for (const [i, value] of logits.entries()) expect(value).toBeCloseTo(known[i]!, 4);
      return [...tokens, ...found];
    };
    const first = await both(said(40, 1), 0);
    // What it answered last was never read. (That logits were asked for takes the answer out of the row.)
    const second = await both([...first, ...said(20, 2)], 40);
    await answer(generator, { tokens: second }, 6);
    const third = await both([...second, ...said(30, 3)], second.length);
    // An earlier turn is written otherwise: all behind that place is read again, and what stood there is not seen.
    const changed = third.map((token, i) => (i === 50 ? (token + 1) % 24 : token));
    await both(changed, 50);
    // Shorter than what is there, and the same once more: of which the last token is read.
    await both(changed.slice(0, 70), 69);
    // One that has nothing in common, or so little that nothing is gained.
    await both([3, ...changed.slice(1, 70)], 0);
    await both([3, ...changed.slice(1, 10), ...said(50, 5)], 0);
    rest.mockRestore();
    await whole.destroy();
    await generator.destroy();
    expect(gpu.counters.bytes).toBe(bytes);
  });

  it('goes on in the row that holds the conversation, and leaves those of others', async () => {
    const config = models[2]![1];
    const { generator: whole } = madeUp(config, 1, { maxLength: 128 });
    const { generator } = madeUp(config, 3, { maxLength: 128, reusesPrefix: true });
    const asked = [1, 2, 3].map((seed) => ({ tokens: said(45, seed) }));
    const turn = async (prompts: readonly ModelPrompt[]) => {
      const found = await Promise.all(prompts.map((each) => answer(generator, each, 5)));
      for (const [i, each] of prompts.entries()) expect(found[i]).toEqual(await answer(whole, each, 5));
      return prompts.map(({ tokens }, i) => ({ tokens: [...tokens, ...found[i]!, ...said(12, i)] }));
    };
    const second = await turn(asked);
    const rest = rests();
    const third = await turn(second.toReversed());
    expect(rest).toHaveBeenCalledTimes(3);
    // A stranger takes the row that waits longest; the others go on.
    rest.mockClear();
    await turn([{ tokens: said(50, 9) }]);
    await turn(third.slice(1));
    expect(rest).toHaveBeenCalledTimes(2);
    rest.mockRestore();
    await whole.destroy();
    await generator.destroy();
  });

  it('begins anew after a prompt that failed half-way, and after an answer that was left', async () => {
    const config = models[1]![1];
    const { generator: whole } = madeUp(config, 1, { maxLength: 128 });
    const { generator } = madeUp(config, 1, { maxLength: 128, reusesPrefix: true });
    const tokens = said(60, 1);
    const left = generator.generate({ tokens }, { ...options, maxNewTokens: 9 });
    const begun = [(await left.next()).value as number, (await left.next()).value as number];
    await left.return();
    const next = { tokens: [...tokens, ...begun, ...said(20, 4)] };
    const rest = rests();
    expect(await answer(generator, next)).toEqual(await answer(whole, next));
    expect(rest).toHaveBeenCalledWith(21);
    const get = vi.spyOn(gpu, 'submit').mockImplementationOnce(() => {
      throw new Error('no memory');
    });
    await expect(generator.nextLogits({ tokens: said(60, 8) })).rejects.toThrow('no memory');
    get.mockRestore();
    rest.mockClear();
    expect(await answer(generator, next)).toEqual(await answer(whole, next));
    expect(rest).not.toHaveBeenCalled();
    rest.mockRestore();
    await whole.destroy();
    await generator.destroy();
  });

  it('reads a prompt whole that sees itself in both directions', async () => {
    const config = { ...pictured, text: { ...text, numLayers: 2, layerTypes: ['global', 'global'] as const } };
    const { generator: whole } = madeUp(config, 1, { maxLength: 128 });
    const { generator } = madeUp(config, 1, { maxLength: 128, reusesPrefix: true });
    const rest = rests();
    const patches = Float32Array.from({ length: 4 * 12 }, (_, i) => Math.sin(i));
    for (const tokens of [after(1, said(40, 1)), after(1, [...said(40, 1), ...said(30, 2)])])
      expect(await answer(generator, { tokens, patches })).toEqual(await answer(whole, { tokens, patches }));
    expect(rest).not.toHaveBeenCalled();
    rest.mockRestore();
    await whole.destroy();
    await generator.destroy();
  });
});
