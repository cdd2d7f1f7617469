// A family handed over in code: nothing of the packages has to know it.
import {
  createRandom,
  Generator,
  planGeneration,
  greedy,
  initialParam,
  loraSpecs,
  loraUpdates,
  type LoraOptions,
  modelOf,
  paramTree,
  planVariables,
  UnknownModelError,
  type ParamPlan,
} from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { evaluate, reshape, variableFrom } from '@lapidary/tensor';
import {
  bufferSource,
  encodeFloats,
  hfModelFiles,
  modelWeightLoader,
  peftAdapterFiles,
  readPeftAdapter,
  type TensorData,
} from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { peftFileBytes } from './support/peft-files.js';
import { causalInfo } from './support/gemma-fixture.js';
import { pebble } from './support/pebble-family.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const model = pebble.describe(pebble.presets.small);
const random = createRandom(3);
const values = new Map(model.params.map((spec) => [spec.path, initialParam(spec, spec.shape, random)]));

it('is written, found by its config.json, and read again', async () => {
  const params = new Map<string, TensorData>(
    model.params.map(({ path, shape }) => [
      path,
      { dtype: 'f32', shape, bytes: encodeFloats(values.get(path)!, 'f32') },
    ]),
  );
  const files = hfModelFiles(model, params);
  const pieces: number[] = [];
  for await (const piece of files['model.safetensors']) pieces.push(...piece);
  const from = [
    bufferSource('config.json', files['config.json']),
    bufferSource('model.safetensors', Uint8Array.from(pieces)),
  ];
  const weights = await modelWeightLoader({ from, families: [pebble] }).open();
  expect(weights.config).toEqual(model.config);
  expect(weights.entries.get('layers.2.query.weight')?.sourceName).toBe('pebble.h.2.query_proj.weight');
  const read = new Map<string, Uint8Array>();
  await weights.load(weights.entries, { write: (path, _, bytes) => void read.set(path, bytes.slice()) });
  expect([...read.keys()].sort()).toEqual([...values.keys()].sort());
  for (const [path, bytes] of read) expect(new Float32Array(bytes.buffer), path).toEqual(values.get(path));
  await expect(modelWeightLoader({ from }).open()).rejects.toBeInstanceOf(UnknownModelError);
  expect(() => modelOf(model.config)).toThrow(UnknownModelError);
});

it('has adapters in PEFT’s form', async () => {
  const options: LoraOptions = { rank: 2, alpha: 4, targets: ({ path }) => path.includes('.query.') };
  const lora = loraSpecs(model.params, options);
  expect([...lora.keys()]).toHaveLength(6);
  const tensors = new Map(
    [...lora].map(([path, { shape }]) => [path, Float32Array.from({ length: shape[0]! * shape[1]! }, random)]),
  );
  const updates = loraUpdates(model.params, options);
  const files = await peftFileBytes(peftAdapterFiles({ model, updates, tensors }));
  const described = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as { target_modules: string[] };
  expect(described.target_modules).toEqual(['query_proj']);
  const sources = Object.entries(files).map(([name, bytes]) => bufferSource(name, bytes));
  const { tensors: again, targets } = await readPeftAdapter(sources, { model });
  expect(again).toEqual(tensors);
  expect(targets).toEqual(['query_proj']);
});

it('generates from a cache of the layers that own keys and values what it computes without one', async () => {
  const plans = new Map<string, ParamPlan>(
    model.params.map(({ path, shape }) => [path, { shape, dtype: 'f32', category: 'weights' }]),
  );
  const variables = planVariables(plans);
  for (const [path, variable] of variables) variable.allocate(gpu).write(values.get(path)!);
  const params = paramTree(variables);

  const prompt = [2, 17, 5, 30, 8, 11];
  const expected: number[] = [];
  for (let made = 0; made < 6; made++) {
    const ids = [...prompt, ...expected];
    const i32 = (data: Int32Array, shape: number[]) => variableFrom(gpu, data, shape, { dtype: 'i32' }).tensor;
    const inputs = {
      inputIds: i32(Int32Array.from(ids), [1, ids.length]),
      tokenInfo: i32(causalInfo(new Int32Array(ids.length).fill(1), ids.length), [1, ids.length, 4]),
    };
    const { hidden, cache } = model.forward(params, inputs);
    expect(cache).toEqual([]);
    const [logits] = await evaluate(gpu, [model.logits(params, reshape(hidden, [-1, model.hiddenSize]))]);
    expected.push(greedy(logits!.slice(-model.vocabSize) as Float32Array));
  }
  const generator = new Generator(gpu, planGeneration(gpu.profile, params, model, { maxLength: 16 }));
  const found: number[] = [];
  for await (const token of generator.generate({ tokens: prompt }, { maxNewTokens: 6, stopTokens: [] }))
    found.push(token);
  expect(found).toEqual(expected);
  expect(new Set(found).size).toBeGreaterThan(1);
  await generator.destroy();
  for (const variable of variables.values()) variable.destroy();
});
