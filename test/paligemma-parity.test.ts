// PaliGemma 1 and 2 against transformers in f32, on random checkpoints that transformers wrote (test/fixtures/models).
import {
  gemmaLogits,
  Generator,
  loraSpecs,
  loraUpdates,
  planGeneration,
  sumTokenLosses,
  paliGemmaHidden,
  paliGemmaImageFeatures,
  paramTree,
  siglipHidden,
  type PaliGemmaParams,
} from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { evaluate, gradients, mul, reshape, variableFrom, type Variable } from '@lapidary/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shiftedTargets } from './support/gemma-fixture.js';
import { paliGemmaFixture, paliGemmaHfName, paliGemmaInputs } from './support/paligemma-fixture.js';
import { relativeError } from './support/relative-error.js';
import { fixtureJson } from './support/safetensors-fixture.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const i32 = (data: ArrayLike<number>, shape: number[]) =>
  variableFrom(gpu, Int32Array.from(data), shape, { dtype: 'i32' }).tensor;

describe.each(['paligemma1-tiny', 'paligemma2-tiny'])('%s', (name) => {
  it('scales the adapter of every linear alike, that of the projector too', async () => {
    const { config, model, variables, reference } = await paliGemmaFixture(gpu, name);
    const inputs = paliGemmaInputs(gpu, config, reference).tensors();
    const lora = { rank: 2, alpha: 5 };
    const updates = loraUpdates(model.params, lora);
    const { scale } = updates.get('projector')!;
    const adapted = new Map(variables);
    for (const [path, { shape }] of loraSpecs(model.params, lora))
      adapted.set(
        path,
        variableFrom(
          gpu,
          Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => Math.sin(i + path.length) / 9),
          shape,
        ),
      );
    // The same model with scale · B · A added to each weight.
    const merged = new Map(variables);
    for (const spec of model.params.filter(({ role }) => role === 'linear')) {
      const linear = spec.path.replace(/\.weight$/, '');
      const [weight, a, b] = await Promise.all(
        [spec.path, `${linear}.lora.a`, `${linear}.lora.b`].map((path) => adapted.get(path)!.read()),
      );
      const [out, width] = spec.shape as [number, number];
      const sum = Float32Array.from(weight!, (value, at) => {
        const [row, column] = [Math.floor(at / width), at % width];
        return value + scale * (b![row * 2]! * a![column]! + b![row * 2 + 1]! * a![width + column]!);
      });
      merged.set(spec.path, variableFrom(gpu, sum, [out, width]));
    }
    const hidden = (params: ReadonlyMap<string, Variable>, of?: typeof updates) =>
      paliGemmaHidden(paramTree<PaliGemmaParams>(params, of), config, inputs).hidden;
    const [byAdapter, byMerge] = await evaluate(gpu, [hidden(adapted, updates), hidden(merged)]);
    expect(relativeError(byAdapter!, byMerge!)).toBeLessThan(1e-5);
  });

  it('has the vision features, logits, loss and every gradient of transformers', async () => {
    const { config, model, variables, reference } = await paliGemmaFixture(gpu, name);
    const params = paramTree<PaliGemmaParams>(variables);
    const batch = paliGemmaInputs(gpu, config, reference);
    const inputs = batch.tensors();
    const vision = siglipHidden(params.vision, config.vision, inputs.patches);
    const projected = paliGemmaImageFeatures(params, config, inputs.patches);
    const { hidden } = paliGemmaHidden(params, config, inputs);
    const logits = gemmaLogits(params.language, config.text, reshape(hidden, [-1, config.text.hiddenSize]));
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
    for (const gradientCheckpointing of [false, true, 1]) {
      const { loss: losses } = sumTokenLosses(model, paramTree(variables), inputs, target, { gradientCheckpointing });
      const loss = reshape(mul(losses, weight), []);
      const grads = gradients(
        loss,
        paths.map((path) => variables.get(path)!.tensor),
      );
      const [ourLoss, ...ourGrads] = await evaluate(gpu, [loss, ...grads.map((g) => g!)]);
      expect(Math.abs(ourLoss![0]! - reference.get('loss')!.data[0]!)).toBeLessThan(1e-5 * ourLoss![0]!);
      paths.forEach((path, i) => {
        const expected = reference.get(`grad.${paliGemmaHfName(path, config)}`)!.data;
        const difference = Math.hypot(...Array.from(expected, (e, j) => ourGrads[i]![j]! - e));
        // A bias of the keys moves all scores of a query alike: its gradient is 0 but for rounding.
        if (path.endsWith('kProj.bias')) expect(Math.hypot(...ourGrads[i]!), path).toBeLessThan(1e-6);
        else expect(difference / Math.hypot(...expected), `gradient of ${path}`).toBeLessThan(1e-4);
      });
    }
  });

  it('generates greedily what transformers generates', async () => {
    const { config, model, variables, reference } = await paliGemmaFixture(gpu, name);
    const { greedy } = await fixtureJson<{ greedy: { image: number; prompt: number[]; new: number[] } }>(
      `models/${name}/reference.json`,
    );
    const batch = paliGemmaInputs(gpu, config, reference);
    const values = batch.patches.length / batch.rows;
    const prompt = {
      tokens: greedy.prompt,
      patches: batch.patches.slice(greedy.image * values, (greedy.image + 1) * values),
    };
    const generator = new Generator(gpu, planGeneration(gpu.profile, paramTree(variables), model, { maxLength: 40 }));
    const found: number[] = [];
    for await (const token of generator.generate(prompt, { maxNewTokens: greedy.new.length, stopTokens: [] }))
      found.push(token);
    expect(found).toEqual(greedy.new);
    // One channel only, or another size.
    const short = { ...prompt, patches: prompt.patches.slice(0, values / 3) };
    await expect(generator.nextLogits(short)).rejects.toThrow(
      /no whole number of pictures of \d+ × \d+ pixels and 3 channels/,
    );
    await generator.destroy();
  });

  it('lets a suffix see what is before it, and the prefix all of itself', async () => {
    const { config, variables, reference } = await paliGemmaFixture(gpu, name);
    const params = paramTree<PaliGemmaParams>(variables);
    const batch = paliGemmaInputs(gpu, config, reference);
    const text = batch.length - batch.count;
    const types = reference.get('token_type_ids')!.data;
    const firstSuffix = types.indexOf(1);
    /** Which tokens of row 0 change when its text token `at` becomes another. */
    const changed = async (at: number) => {
      const inputIds = batch.inputIds.slice();
      inputIds[at] = inputIds[at] === 20 ? 21 : 20;
      const streams = [batch.tensors(), batch.tensors({ inputIds })].map(
        (inputs) => paliGemmaHidden(params, config, inputs).hidden,
      );
      const [before, after] = (await evaluate(gpu, streams)) as [Float32Array, Float32Array];
      const d = config.text.hiddenSize;
      return Array.from({ length: batch.length }, (_, t) =>
        before.subarray(t * d, (t + 1) * d).some((v, i) => v !== after[t * d + i]),
      );
    };
    expect(text).toBeGreaterThan(3);
    const inSuffix = firstSuffix + 2;
    expect(await changed(inSuffix)).toEqual(Array.from({ length: batch.length }, (_, t) => t >= inSuffix));
    expect(await changed(firstSuffix - 1)).toEqual(new Array(batch.length).fill(true));
  });
});
