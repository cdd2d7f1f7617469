// Gemma 1 to 4 against transformers in f32, on random checkpoints that transformers wrote (test/fixtures/models).
import { sumTokenLosses, Generator, planGeneration, paramTree } from '@lapidary/gemma';
import { Gpu, openGpu } from '@lapidary/gpu';
import { evaluate, gradients, mul, reshape, variableFrom } from '@lapidary/tensor';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { causalInfo, hfName, modelFixture, shiftedTargets } from './support/gemma-fixture.js';
import { relativeError } from './support/relative-error.js';
import { fixtureJson } from './support/safetensors-fixture.js';

let gpu: Gpu;
/** The same device as if it were a GPU: it gets the kernels of one, which are tried once, before the first model. */
let asGpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
  const { profile } = gpu;
  asGpu = new Gpu(gpu.device, { ...profile, adapter: { ...profile.adapter, isSoftware: false } });
});
afterAll(() => gpu.destroy());

const i32 = (data: ArrayLike<number>, shape: number[]) =>
  variableFrom(gpu, Int32Array.from(data), shape, { dtype: 'i32' }).tensor;

describe.each(['gemma1-tiny', 'gemma2-tiny', 'gemma3-tiny', 'gemma4-tiny', 'gemma4-kv-tiny'])('%s', (name) => {
  it('has the logits, loss and every gradient of transformers', async () => {
    const { model, variables, reference, hostRows } = await modelFixture(gpu, name);
    const params = paramTree(variables);
    const ids = reference.get('input_ids')!;
    const mask = reference.get('attention_mask')!.data;
    const [batch, length] = ids.shape as [number, number];
    const ofHost = await hostRows?.read(Int32Array.from(ids.data));
    const inputs = {
      inputIds: i32(ids.data, [batch, length]),
      tokenInfo: i32(causalInfo(mask, length), [batch, length, 4]),
      ...(ofHost && { hostRows: variableFrom(gpu, ofHost, [ids.data.length, hostRows!.width]).tensor }),
    };

    const { hidden } = model.forward(params, inputs);
    const logits = model.logits(params, reshape(hidden, [-1, model.hiddenSize]));
    const { rows, targets } = shiftedTargets(reference.get('labels')!.data, length);
    const weight = variableFrom(gpu, Float32Array.of(1 / targets.length), [1]).tensor;
    const target = { rows: i32(rows, [rows.length]), targets: i32(targets, [targets.length]) };
    const paths = model.params.filter(({ isOnHost, isConstant }) => !isOnHost && !isConstant).map(({ path }) => path);
    let kept: number[][] | undefined;
    for (const gradientCheckpointing of [false, true, 1]) {
      const sums = sumTokenLosses(model, paramTree(variables), inputs, target, { gradientCheckpointing });
      const loss = reshape(mul(sums.loss, weight), []);
      const grads = gradients(
        loss,
        paths.map((path) => variables.get(path)!.tensor),
      );
      const [ourLogits, ourLoss, correct, ...ourGrads] = await evaluate(gpu, [
        logits,
        loss,
        sums.correct,
        ...grads.map((g) => g!),
      ]);

      const real = (values: ArrayLike<number>) =>
        Array.from(values).filter((_, i) => mask[Math.floor(i / model.vocabSize)] === 1);
      expect(relativeError(real(ourLogits!), real(reference.get('logits')!.data))).toBeLessThan(1e-5);
      expect(Math.abs(ourLoss![0]! - reference.get('loss')!.data[0]!)).toBeLessThan(1e-5 * ourLoss![0]!);
      const expectedLogits = reference.get('logits')!.data;
      const likeliest = Array.from(rows, (row) => {
        const ofRow = Array.from(expectedLogits.slice(row * model.vocabSize, (row + 1) * model.vocabSize));
        return ofRow.indexOf(Math.max(...ofRow));
      });
      expect(correct![0]).toBe(likeliest.filter((token, i) => token === targets[i]).length);
      // What is computed again is the same to the last bit.
      const bits = ourGrads.map((grad) => Array.from(grad!));
      expect(bits).toEqual((kept ??= bits));
      paths.forEach((path, i) => {
        const expected = reference.get(`grad.${hfName(path, model.config)}`)!.data;
        const norm = Math.hypot(...expected);
        const difference = Math.hypot(...Array.from(expected, (e, j) => ourGrads[i]![j]! - e));
        expect(difference / norm, `gradient of ${path}`).toBeLessThan(1e-4);
      });
    }
  });

  it('sees nothing of what comes later, of padding, or of another row', async () => {
    const { model, variables, hostRows } = await modelFixture(gpu, name);
    const params = paramTree(variables);
    const [length, at] = [11, 6];
    const mask = Array.from({ length: 2 * length }, (_, i) => Number(i < 2 * length - 2));
    const hiddenOf = async (ids: readonly number[]) => {
      const rows = await hostRows?.read(Int32Array.from(ids));
      const { hidden } = model.forward(params, {
        inputIds: i32(ids, [2, length]),
        tokenInfo: i32(causalInfo(mask, length), [2, length, 4]),
        ...(rows && { hostRows: variableFrom(gpu, rows, [ids.length, hostRows!.width]).tensor }),
      });
      const [values] = await evaluate(gpu, [hidden]);
      return Array.from({ length: 2 * length }, (_, i) =>
        Array.from(values!.subarray(i * model.hiddenSize, (i + 1) * model.hiddenSize)),
      );
    };
    const ids = Array.from({ length: 2 * length }, (_, i) => 8 + ((i * 7) % 60));
    const before = await hiddenOf(ids);
    const later = await hiddenOf(ids.map((id, i) => (i >= at && i < length ? id + 1 : id)));
    expect(later.slice(0, at)).toEqual(before.slice(0, at));
    expect(later.slice(length)).toEqual(before.slice(length));
    expect(later[at]).not.toEqual(before[at]);
    const padded = await hiddenOf(ids.map((id, i) => (mask[i] === 0 ? id + 1 : id)));
    expect(padded.slice(0, -2)).toEqual(before.slice(0, -2));
  });

  it('generates the same beside other answers', async () => {
    const { model, variables, hostRows } = await modelFixture(gpu, name);
    const { greedy } = await fixtureJson<{ greedy: { prompt: number[]; new: number[] } }>(
      `models/${name}/reference.json`,
    );
    const options = { maxLength: 24, rows: 3, hostRows };
    const generator = new Generator(gpu, planGeneration(gpu.profile, paramTree(variables), model, options));
    const answer = async (tokens: readonly number[]) => {
      const found: number[] = [];
      for await (const token of generator.generate({ tokens }, { maxNewTokens: greedy.new.length, stopTokens: [] }))
        found.push(token);
      return found;
    };
    const prompts = [[2, ...greedy.prompt.slice(3)], greedy.prompt, [2, 17, 9, 30, 31, 32, 33]];
    const together = await Promise.all(prompts.map(answer));
    expect(together[1]).toEqual(greedy.new);
    for (const [i, prompt] of prompts.entries()) expect(together[i]).toEqual(await answer(prompt));
    await generator.destroy();
  });

  it.each(['', ', with the kernels of a GPU'])('generates greedily what transformers generates%s', async (kernels) => {
    const device = kernels ? asGpu : gpu;
    const compiled = vi.spyOn(device.pipelines, 'get');
    const { model, variables, hostRows } = await modelFixture(device, name);
    const { greedy } = await fixtureJson<{ greedy: { prompt: number[]; new: number[] } }>(
      `models/${name}/reference.json`,
    );
    const generator = new Generator(
      device,
      planGeneration(device.profile, paramTree(variables), model, { maxLength: 24, hostRows }),
    );
    const found: number[] = [];
    for await (const token of generator.generate(
      { tokens: greedy.prompt },
      { maxNewTokens: greedy.new.length, stopTokens: [] },
    ))
      found.push(token);
    expect(found).toEqual(greedy.new);
    // On GPUs a token's projections normalise it themselves.
    const takesNorm = compiled.mock.calls.some(([{ conditions }]) => conditions?.NORM);
    expect(takesNorm).toBe(!device.profile.adapter.isSoftware);
    compiled.mockRestore();
    await generator.destroy();
  });
});
