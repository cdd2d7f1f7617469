// Adapters that we export, judged by PEFT: it loads every tensor of them and has our logits (test/fixtures/peft).
import { gemma1, gemma2, gemma3, gemma4, loraSpecs, paramTree, type HfConfig, type ModelFamily } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { evaluate, reshape, variableFrom } from '@lapidary/tensor';
import { readPeftAdapter } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterSources } from './support/fixture-sources.js';
import { causalInfo, modelFixture } from './support/gemma-fixture.js';
import { paliGemmaFixture, paliGemmaInputs } from './support/paligemma-fixture.js';
import { exportPeftCase, peftCaseLora, peftCases, peftCaseTensors } from './support/peft-cases.js';
import { rowNorms } from './support/row-norms.js';
import { relativeError } from './support/relative-error.js';
import { sameBytes } from './support/same-bytes.js';
import { fixtureBytes, fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';

/** Of whole models the text part. */
const textFamilies: readonly ModelFamily[] = [gemma1, gemma2, gemma3, gemma4];

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

it.each(peftCases.map((c) => [c.name, c] as const))('PEFT has our logits: %s', async (name, peftCase) => {
  const { model, variables, hostRows } = await modelFixture(gpu, peftCase.model, textFamilies);
  const baseConfig = await fixtureJson<HfConfig>(`models/${peftCase.model}/config.json`);
  for (const [file, bytes] of Object.entries(await exportPeftCase(peftCase, model, baseConfig)))
    expect(sameBytes(bytes, await fixtureBytes(`peft/${name}/${file}`)), `${file} as PEFT was given it`).toBe(true);

  const { updates, specs } = peftCaseLora(peftCase, model);
  const { tensors, params: saved } = peftCaseTensors(peftCase, model);
  for (const [path, { shape, linear, kind }] of specs) {
    const values = kind === 'weightNorm' ? await rowNorms(variables.get(`${linear}.weight`)!) : tensors.get(path)!;
    variables.set(path, variableFrom(gpu, values, shape));
  }
  for (const [path, { values }] of saved) variables.get(path)!.write(values);
  const ids = (await fixtureJson<{ input_ids: number[][] }>(`peft/${name}/input.json`)).input_ids[0]!;
  const i32 = (data: Int32Array, shape: number[]) => variableFrom(gpu, data, shape, { dtype: 'i32' }).tensor;
  const params = paramTree(variables, updates);
  const rows = await hostRows?.read(Int32Array.from(ids));
  const inputs = {
    inputIds: i32(Int32Array.from(ids), [1, ids.length]),
    tokenInfo: i32(causalInfo(new Int32Array(ids.length).fill(1), ids.length), [1, ids.length, 4]),
    ...(rows && { hostRows: variableFrom(gpu, rows, [ids.length, hostRows!.width]).tensor }),
  };
  const { hidden } = model.forward(params, inputs);
  const [logits] = await evaluate(gpu, [model.logits(params, reshape(hidden, [-1, model.hiddenSize]))]);
  const peft = (await fixtureTensors(`peft/${name}/logits.safetensors`)).get('logits')!;
  expect(relativeError(logits!, peft.data)).toBeLessThan(1e-5);
  // The adapter does something: without it the logits are others.
  const plain = (await fixtureTensors(`models/${peftCase.model}/reference.safetensors`)).get('logits')!;
  expect(relativeError(logits!, plain.data.slice(0, logits!.length))).toBeGreaterThan(1e-2);
});

it('scales the update of PaliGemma’s projector as any other', async () => {
  const { config, model, variables, reference } = await paliGemmaFixture(gpu, 'paligemma2-tiny');
  const { updates, tensors } = await readPeftAdapter(await adapterSources('adapters/lora-projector'), { model });
  const shapes = loraSpecs(model.params, { rank: 4, alpha: 8 });
  const tree = () => paramTree(variables, updates);
  for (const [path, values] of tensors) variables.set(path, variableFrom(gpu, values, shapes.get(path)!.shape));
  const { hidden } = model.forward(tree(), paliGemmaInputs(gpu, config, reference).tensors());
  const [logits] = await evaluate(gpu, [model.logits(tree(), reshape(hidden, [-1, model.hiddenSize]))]);
  const peft = (await fixtureTensors('adapters/lora-projector/logits.safetensors')).get('logits')!;
  expect(relativeError(logits!.slice(0, peft.data.length), peft.data)).toBeLessThan(1e-5);
});
