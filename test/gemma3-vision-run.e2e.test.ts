// A whole run on a small Gemma 3 with pictures: conversations with two, one and none, LoRA on both towers, samples, export, and answers.
import type { ChatMessage } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  exportCheckpoint,
  resolveTrainConfig,
  runTraining,
  type SampleRecord,
  type TrainConfig,
} from '@lapidary/trainer';
import { bufferSource, modelWeightLoader, type ByteSource } from '@lapidary/weights';
import { TextModel } from 'lapidary';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pngOf } from '../packages/gemma/src/image/testing/made-up-pictures.js';
import { modelSources } from './support/fixture-sources.js';
import { fixtureBytes } from './support/safetensors-fixture.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

/** As a folder of the hub has it: with what says how pictures are prepared. */
async function sources(): Promise<ByteSource[]> {
  const text = (name: string, json: object) => bufferSource(name, new TextEncoder().encode(JSON.stringify(json)));
  const ofTokenizer = ['tokenizer.json', 'tokenizer_config.json'].map(async (name) =>
    bufferSource(name, await fixtureBytes(`tokenizer-gemma3/${name}`)),
  );
  return [
    ...(await modelSources('gemma3-vision-tiny')),
    ...(await Promise.all(ofTokenizer)),
    text('preprocessor_config.json', { image_processor_type: 'Gemma3ImageProcessor', size: { height: 24, width: 24 } }),
    text('processor_config.json', { processor_class: 'Gemma3Processor', image_seq_length: 4 }),
  ];
}

const size = { width: 8, height: 6 };
const picture = (...rgb: number[]) =>
  pngOf(
    2,
    8,
    Array.from({ length: size.height }, () => Array.from({ length: size.width }, () => rgb).flat()),
    size,
  );
const [red, blue] = [await picture(220, 10, 10), await picture(10, 10, 220)];
const image = (of: Uint8Array) => ({ type: 'image', image: of });
const text = (said: string) => ({ type: 'text', text: said });
const asked = (...content: object[]) => ({ role: 'user', content });
const answer = (content: string) => ({ role: 'assistant', content });
const rows = [
  { messages: [asked(image(red), text('Colour?')), answer('red')] },
  { messages: [asked(text('Colour?'), image(blue)), answer('blue')] },
  { messages: [asked(text('First'), image(red), text('then'), image(blue)), answer('red blue')] },
  { messages: [{ role: 'user', content: 'No picture.' }, answer('none')] },
];

const loader = async () => modelWeightLoader({ from: await sources() });
const config = async (changes: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({
    weightLoader: await loader(),
    data: { source: rows },
    evalData: { source: rows },
    lora: { rank: 8, alpha: 16, towers: ['language', 'vision'] },
    steps: 60,
    batchSize: 4,
    maxLength: 40,
    optimizer: { learningRate: 0.01 },
    evalEvery: 60,
    sampleCount: 4,
    sampleTokens: 5,
    ...changes,
  });

it('learns what pictures show, and leaves what PEFT and transformers read', async () => {
  const store = createMemoryStore();
  const samples: SampleRecord[] = [];
  const losses: number[] = [];
  await runTraining(await config(), {
    store,
    gpu,
    logger: {
      onSample: (sample) => void samples.push(sample),
      onStep: ({ loss }) => void losses.push(loss),
    },
  });
  expect(losses.at(-1)!).toBeLessThan(losses[0]! / 3);
  const after = samples.slice(-4);
  expect(after.map((sample) => sample.pictures?.length ?? 0)).toEqual([1, 1, 2, 0]);
  expect(after.map((sample) => sample.answer)).toEqual(['red', 'blue', 'red blue', 'none']);

  const adapter = await Promise.all(
    ['adapter_config.json', 'adapter_model.safetensors'].map(async (name) =>
      bufferSource(name, await store.read(name)),
    ),
  );
  const question: ChatMessage[] = [
    {
      role: 'user',
      content: [{ type: 'text', text: 'First' }, { type: 'image' }, { type: 'text', text: 'then' }, { type: 'image' }],
    },
  ];
  const tuned = await TextModel.open(await loader(), { gpu, adapter });
  let said = '';
  for await (const part of tuned.answer(question, { images: [red, blue], maxNewTokens: 5 })) said += part;
  expect(said).toBe(after[2]!.answer);
  await expect(tuned.answer(question, { images: [red] }).next()).rejects.toThrow(/1 pictures, but .* places for 2/);
  const logits = await tuned.nextLogits(question, { images: [red, blue] });
  tuned.destroy();

  // One model of base and adapter says the same, and is prepared for as the base.
  const out = createMemoryStore();
  const base = await loader();
  const { files } = await exportCheckpoint({ run: store, out, form: { to: 'merged' }, openBase: () => base });
  expect(files).toEqual(expect.arrayContaining(['config.json', 'preprocessor_config.json', 'processor_config.json']));
  const from = await Promise.all(files.map(async (name) => bufferSource(name, await out.read(name))));
  const merged = await TextModel.open(modelWeightLoader({ from }), { gpu });
  const found = await merged.nextLogits(question, { images: [red, blue] });
  logits.forEach((value, i) => expect(Math.abs(found[i]! - value)).toBeLessThan(1e-3));
  merged.destroy();
});

it('is a run of the text model where no row has a picture', async () => {
  const store = createMemoryStore();
  const notices: string[] = [];
  const source = [rows[3]!, { prompt: 'a', completion: 'b' }];
  const whole = {
    lora: null,
    data: { source },
    evalData: { source },
    steps: 2,
    evalEvery: 2,
    sampleCount: 0,
    batchSize: 2,
  };
  await runTraining(await config(whole), {
    store,
    gpu,
    logger: { onNotice: (notice) => void notices.push(notice) },
  });
  expect(notices.join()).toMatch(/No row has a picture: the run is one of the text model/);
  // The tower is there again, as it was.
  const written = await modelWeightLoader({
    from: await Promise.all(
      ['config.json', 'model.safetensors'].map(async (name) => bufferSource(name, await store.read(name))),
    ),
  }).open();
  expect(written.model.vision?.tokensPerImage).toBe(4);
  const opened = await (await loader()).open();
  const bytesOf = async (weights: typeof written, path: string) => {
    const pieces: number[] = [];
    for await (const piece of weights.read(path, 'f32')) pieces.push(...piece);
    return pieces;
  };
  for (const path of ['vision.layers.1.mlp.fc1.weight', 'projector.weight'])
    expect(await bytesOf(written, path)).toEqual(await bytesOf(opened, path));
  expect(await bytesOf(written, 'layers.0.attn.qProj.weight')).not.toEqual(
    await bytesOf(opened, 'layers.0.attn.qProj.weight'),
  );
});
