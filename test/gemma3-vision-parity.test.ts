// Gemma 3 with pictures against transformers in f32, on a random checkpoint that transformers wrote (test/fixtures/models): odd counts of
// heads, windows shorter than a picture, rows with two pictures, one and none.
import {
  gemma3ImageFeatures,
  gemma3VisionHidden,
  gemmaLogits,
  Generator,
  paramTree,
  planGeneration,
  PromptImagesError,
  siglipHidden,
  sumTokenLosses,
  type Gemma3VisionParams,
} from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { evaluate, gradients, mul, reshape, variableFrom } from '@lapidary/tensor';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { shiftedTargets } from './support/gemma-fixture.js';
import { fixtureJson } from './support/safetensors-fixture.js';
import { patchesOf } from './support/paligemma-fixture.js';
import { gemma3VisionFixture, gemma3VisionHfName, gemma3VisionInputs } from './support/gemma3-vision-fixture.js';
import { relativeError } from './support/relative-error.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const i32 = (data: ArrayLike<number>, shape: number[]) =>
  variableFrom(gpu, Int32Array.from(data), shape, { dtype: 'i32' }).tensor;

it('has the vision features, logits, loss and every gradient of transformers', async () => {
  const fixture = await gemma3VisionFixture(gpu);
  const { config, model, variables, reference } = fixture;
  const params = paramTree<Gemma3VisionParams>(variables);
  const batch = gemma3VisionInputs(gpu, fixture, reference);
  const inputs = batch.tensors();
  const vision = siglipHidden(params.vision, config.vision, inputs.patches);
  const projected = gemma3ImageFeatures(params, config, inputs.patches);
  const { hidden } = gemma3VisionHidden(params, config, inputs);
  const logits = gemmaLogits(params, config.text, reshape(hidden, [-1, config.text.hiddenSize]));
  const [ourVision, ourProjected, ourLogits] = await evaluate(gpu, [vision, projected, logits]);
  expect(relativeError(ourVision!, reference.get('vision.hidden')!.data)).toBeLessThan(1e-5);
  expect(relativeError(ourProjected!, reference.get('vision.projected')!.data)).toBeLessThan(1e-5);
  const mask = reference.get('attention_mask')!.data;
  const real = (values: ArrayLike<number>) =>
    Array.from(values).filter((_, i) => mask[Math.floor(i / config.text.vocabSize)] === 1);
  expect(relativeError(real(ourLogits!), real(reference.get('logits')!.data))).toBeLessThan(1e-5);

  const { rows, targets } = shiftedTargets(reference.get('labels')!.data, batch.length);
  const weight = variableFrom(gpu, Float32Array.of(1 / targets.length), [1]).tensor;
  const target = { rows: i32(rows, [rows.length]), targets: i32(targets, [targets.length]) };
  const paths = [...variables.keys()];
  for (const gradientCheckpointing of [false, true]) {
    const { loss: losses } = sumTokenLosses(model, paramTree(variables), inputs, target, { gradientCheckpointing });
    const loss = reshape(mul(losses, weight), []);
    const grads = gradients(
      loss,
      paths.map((path) => variables.get(path)!.tensor),
    );
    const [ourLoss, ...ourGrads] = await evaluate(gpu, [loss, ...grads.map((g) => g!)]);
    expect(Math.abs(ourLoss![0]! - reference.get('loss')!.data[0]!)).toBeLessThan(1e-5 * ourLoss![0]!);
    paths.forEach((path, i) => {
      const expected = reference.get(`grad.${gemma3VisionHfName(path, config)}`)!.data;
      const difference = Math.hypot(...Array.from(expected, (e, j) => ourGrads[i]![j]! - e));
      // A bias of the keys moves all scores of a query alike: its gradient is 0 but for rounding.
      if (path.endsWith('kProj.bias')) expect(Math.hypot(...ourGrads[i]!), path).toBeLessThan(1e-6);
      else expect(difference / Math.hypot(...expected), `gradient of ${path}`).toBeLessThan(1e-4);
    });
  }
});

it('lets a picture see all of itself, and everything only what is before it', async () => {
  const fixture = await gemma3VisionFixture(gpu);
  const { config, variables, reference } = fixture;
  const params = paramTree<Gemma3VisionParams>(variables);
  const batch = gemma3VisionInputs(gpu, fixture, reference);
  const ids = reference.get('input_ids')!.data;
  const isPicture = (t: number) => ids[t] === config.imageTokenId;
  const before = batch.tensors();
  /** Which tokens of row 0 change when something of the inputs does. */
  const changed = async (change: Parameters<typeof batch.tensors>[0]) => {
    const streams = [before, batch.tensors(change)].map((inputs) => gemma3VisionHidden(params, config, inputs).hidden);
    const [was, is] = (await evaluate(gpu, streams)) as [Float32Array, Float32Array];
    const d = config.text.hiddenSize;
    return Array.from({ length: batch.rows * batch.length }, (_, t) =>
      was.subarray(t * d, (t + 1) * d).some((v, i) => v !== is[t * d + i]),
    );
  };
  const starts = Array.from({ length: batch.length }, (_, t) => t).filter((t) => isPicture(t) && !isPicture(t - 1));
  expect(starts).toHaveLength(2);
  const reaches = (from: number) =>
    Array.from({ length: batch.rows * batch.length }, (_, t) => t >= from && t < batch.length);
  // A pixel of the second picture: all of its tokens, and what comes after; neither the first picture nor other rows.
  const patches = batch.inputs.patches.slice();
  patches[patches.length / batch.pictures]! += 0.5;
  expect(await changed({ patches })).toEqual(reaches(starts[1]!));
  // The text before, between and after.
  for (const at of [1, starts[1]! - 2, batch.length - 1]) {
    const inputIds = batch.inputs.inputIds.slice();
    inputIds[at] = inputIds[at] === 20 ? 21 : 20;
    expect(await changed({ inputIds })).toEqual(reaches(at));
  }
});

it('generates greedily what transformers generates, alone and beside an answer without pictures', async () => {
  const { config, model, variables, reference } = await gemma3VisionFixture(gpu);
  const { greedy } = await fixtureJson<{ greedy: { prompt: number[]; new: number[] } }>(
    'models/gemma3-vision-tiny/reference.json',
  );
  const { imageSize, patchSize } = config.vision;
  const pixels = reference.get('greedy.pixel_values')!;
  const patches = patchesOf(pixels.data, pixels.shape[0]!, imageSize, patchSize);
  const prompt = { tokens: greedy.prompt, patches };
  const options = { maxLength: 40, rows: 2, reusesPrefix: true };
  const generator = new Generator(gpu, planGeneration(gpu.profile, paramTree(variables), model, options));
  const answer = async (asked: { tokens: number[]; patches?: Float32Array }) => {
    const found: number[] = [];
    for await (const token of generator.generate(asked, { maxNewTokens: greedy.new.length, stopTokens: [] }))
      found.push(token);
    return found;
  };
  expect(await answer(prompt)).toEqual(greedy.new);
  const text = { tokens: greedy.prompt.filter((id) => id !== config.imageTokenId) };
  const [beside] = await Promise.all([answer(prompt), answer(text)]);
  expect(beside).toEqual(greedy.new);
  // Tokens of pictures that are not there, or of fewer than there are.
  await expect(generator.nextLogits({ tokens: greedy.prompt })).rejects.toThrow(PromptImagesError);
  await expect(generator.nextLogits({ ...text, patches })).rejects.toThrow(/2 pictures take 8 places .* 0 are there/);
  await generator.destroy();
});
