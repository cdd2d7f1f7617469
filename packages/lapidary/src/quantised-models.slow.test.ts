// Whole models in blocks of every type, read as they are stored, against transformers with the weights as the official gguf package dequantises
// them (test/fixtures/make_gguf.py, make_gguf_types.py, make_gguf_bases.py).
import { Generator, paramTree, planGeneration } from '@lapidary/gemma';
import { Gpu, openGpu } from '@lapidary/gpu';
import { evaluate, reshape, variableFrom, type Variable } from '@lapidary/tensor';
import { modelWeightLoader, type OpenedWeights } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtureSources } from '../../../test/support/fixture-sources.js';
import { causalInfo } from '../../../test/support/gemma-fixture.js';
import { relativeError } from '../../../test/support/relative-error.js';
import { fixtureJson, fixtureTensors } from '../../../test/support/safetensors-fixture.js';
import { loadParameters } from './load-parameters.js';

let gpu: Gpu;
/** The same device as if it were a GPU: it gets the kernels of one, which are tried once, before the first model. */
let asGpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
  const { profile } = gpu;
  asGpu = new Gpu(gpu.device, { ...profile, adapter: { ...profile.adapter, isSoftware: false } });
});
afterAll(() => gpu.destroy());

/** A model on a device, its blocks as they are in the file. */
async function withModel<T>(
  name: string,
  device: Gpu,
  use: (weights: OpenedWeights, variables: Map<string, Variable>) => Promise<T>,
): Promise<T> {
  const weights = await modelWeightLoader({ from: await fixtureSources(`${name}.gguf`) }).open();
  const variables = new Map<string, Variable>();
  try {
    await loadParameters(device, weights, variables);
    return await use(weights, variables);
  } finally {
    for (const variable of variables.values()) variable.destroy();
    await weights.close();
  }
}

const types = ['q4_1', 'q5_1', 'iq4_nl', 'q2_k', 'q3_k', 'iq4_xs'];

describe.each([
  ['gguf/gemma3-tiny-q8_0', 'q8_0'],
  ['gguf/gemma4-tiny-q8_0', 'q8_0'],
  ['gguf-bases/q4_0', 'q4_0'],
  ...types.map((type) => [`gguf-types/${type}`, type]),
])('%s', (name, type) => {
  it('stays in its blocks on the device', () =>
    withModel(name, gpu, async (_, variables) => {
      const dtypeOf = (path: string) => variables.get(path)!.type.dtype;
      for (const path of ['layers.0.attn.qProj.weight', 'layers.0.mlp.downProj.weight'])
        expect(dtypeOf(path), path).toBe(type);
      // As llama.cpp quantises to 4 bits.
      expect(dtypeOf('embedTokens.weight')).toBe(type === 'q4_0' ? 'q6_k' : type);
      // Of 32 values a row, where blocks have 256.
      expect(dtypeOf('layers.0.attn.oProj.weight')).toBe(/_k|_xs/.test(type) ? 'iq4_nl' : type);
    }));

  it('has the logits of transformers', () =>
    withModel(name, gpu, async ({ model, hostRows }, variables) => {
      const reference = await fixtureTensors(`${name}.reference.safetensors`);
      const { data, shape } = reference.get('input_ids')!;
      const [batch, length] = shape as [number, number];
      const i32 = (values: Int32Array, as: number[]) => variableFrom(gpu, values, as, { dtype: 'i32' }).tensor;
      const mask = new Int32Array(length).fill(1);
      const params = paramTree(variables);
      const rows = await hostRows?.read(Int32Array.from(data));
      const { hidden } = model.forward(params, {
        inputIds: i32(Int32Array.from(data), [batch, length]),
        tokenInfo: i32(causalInfo(mask, length), [batch, length, 4]),
        ...(rows && {
          hostRows: variableFrom(gpu, rows, [data.length, hostRows!.width], { dtype: hostRows!.dtype }).tensor,
        }),
      });
      const [logits] = await evaluate(gpu, [model.logits(params, reshape(hidden, [-1, model.hiddenSize]))]);
      expect(relativeError(logits!, reference.get('logits')!.data)).toBeLessThan(1e-5);
    }));

  it.each(['', ', with the kernels of a GPU'])('generates greedily what transformers generates%s', async (kernels) => {
    const device = kernels ? asGpu : gpu;
    const { greedy } = await fixtureJson<{ greedy: { prompt: number[]; new: number[] } }>(`${name}.reference.json`);
    await withModel(name, device, async ({ model, hostRows }, variables) => {
      const plan = planGeneration(device.profile, paramTree(variables), model, { maxLength: 24, hostRows });
      const generator = new Generator(device, plan);
      const options = { maxNewTokens: greedy.new.length, stopTokens: [] };
      const found: number[] = [];
      for await (const token of generator.generate({ tokens: greedy.prompt }, options)) found.push(token);
      expect(found).toEqual(greedy.new);
      await generator.destroy();
    });
  });
});
