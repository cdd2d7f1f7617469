import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, resolveTrainConfig, type TrainConfig } from '@lapidary/trainer';
import { openSafetensors, bufferSource, safetensorsToBytes, dtypeOf, type TensorData } from '@lapidary/weights';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GenerateRequest } from './engine.js';
import { engine, loaderOf } from './engine-node.js';
import { UsageError } from './usage-error.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-engine-'));
  const fixtures = fileURLToPath(new URL('../../../test/fixtures', import.meta.url));
  for (const file of ['config.json', 'model.safetensors'])
    await copyFile(join(fixtures, 'models/gemma3-tiny', file), join(folder, file));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(fixtures, 'tokenizer', file), join(folder, file));
  await writeFile(join(folder, 'rows.jsonl'), '{"prompt": "The lamp", "completion": " by the river"}\n'.repeat(4));
});
afterAll(() => rm(folder, { recursive: true }));

const plan = (over: Partial<TrainConfig>) =>
  engine.planTraining(
    resolveTrainConfig({
      weightLoader: loaderOf(folder),
      data: { source: join(folder, 'rows.jsonl') },
      batchSize: 2,
      ...over,
    }),
  );

test('plan refuses rows beyond the context, with both numbers', async () => {
  await expect(plan({ maxLength: 129 })).rejects.toThrow(ConfigError);
  await expect(plan({ maxLength: 129 })).rejects.toThrow(/maxLength: found 129; allowed: at most 128/);
});

test('plan tells what is known of whether the run fits', async () => {
  const { fit } = await plan({ maxLength: 64 });
  // Of a few megabytes: on the CPU they fit; on a GPU it is not known, and that is said.
  expect(fit).toMatchObject({ refused: false });
  expect(fit?.fits).not.toBe(false);
  expect(fit?.reason).toMatch(/largest buffer takes .* that the device allows for one/);
  expect(fit?.reason).toMatch(fit?.fits ? /of memory .* are free/ : /WebGPU does not tell/);
});

/** The model in a folder of its own, its tensors changed. */
async function changedModel(name: string, change: (tensors: Map<string, TensorData>) => void): Promise<string> {
  const changed = join(folder, name);
  await mkdir(changed, { recursive: true });
  for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(folder, file), join(changed, file));
  const source = bufferSource('model.safetensors', new Uint8Array(await readFile(join(folder, 'model.safetensors'))));
  const tensors = new Map<string, TensorData>();
  for (const [tensor, { type, shape, offset, byteLength }] of (await openSafetensors(source)).tensors)
    tensors.set(tensor, { dtype: dtypeOf(type)!, shape, bytes: await source.read(offset, byteLength) });
  change(tensors);
  await writeFile(join(changed, 'model.safetensors'), await safetensorsToBytes(tensors));
  return changed;
}

const question = (model: string, images: readonly string[] = []): GenerateRequest => ({
  model,
  adapter: null,
  best: false,
  prompts: [{ prompt: 'The lamp', images: [...images] }],
  samples: 1,
  rows: 4,
  chat: false,
  maxTokens: 2,
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  stop: [],
  seed: 1,
});

const quietly = (over: Partial<GenerateRequest>, onNotice: (notice: string) => void = () => undefined) =>
  engine.generate(
    { ...question(folder), ...over },
    { onText: () => undefined, onAnswer: () => undefined, onNotice, signal: new AbortController().signal },
  );

const answer = async (model: string, images: readonly string[] = []) => (await quietly(question(model, images)))[0]!;

test('the best checkpoint of a run answers as the adapter that is exported of it; a model trained whole is none', async () => {
  const train = (outDir: string, over: Partial<TrainConfig> = {}) =>
    engine.runTraining(
      resolveTrainConfig({
        weightLoader: loaderOf(folder),
        data: { source: join(folder, 'rows.jsonl') },
        evalData: { source: [{ prompt: 'The lamp', completion: '%Q' }] },
        maxLength: 16,
        steps: 4,
        evalEvery: 1,
        optimizer: { learningRate: 0.5 },
        schedule: { type: 'constant', warmupSteps: 0 },
        sampleCount: 0,
        outDir,
        ...over,
      }),
    );
  const run = join(folder, 'run');
  const { best, steps } = await train(run);
  expect(best!.step).toBeLessThan(steps);
  const out = join(folder, 'best');
  expect(await engine.export({ run, step: 'best', out, model: null, form: { to: 'result' } })).toMatchObject({
    step: best!.step,
  });
  const notices: string[] = [];
  const answer = async (adapter: string, isBest: boolean) => {
    const asked = { adapter, best: isBest, maxTokens: 8 };
    return (await quietly(asked, (notice) => void notices.push(notice)))[0]!.text;
  };
  expect(await answer(run, true)).toBe(await answer(out, false));
  expect(notices).toContain(`The adapter is that of step ${best!.step}.`);
  expect(await answer(run, true)).not.toBe(await answer(run, false));

  const whole = join(folder, 'whole');
  await train(whole, { lora: null, steps: 1 });
  await expect(answer(whole, true)).rejects.toThrow(/trained the model itself/);
});

const norm = 'model.layers.2.self_attn.q_norm.weight';

test.each([NaN, Infinity, -Infinity])('a model with %d in it is refused by file and tensor', async (value) => {
  const model = await changedModel(`with ${value}`, (tensors) => {
    const bytes = (tensors.get(norm)!.bytes as Uint8Array).slice();
    new DataView(bytes.buffer).setFloat32(bytes.length - 4, value, true);
    tensors.set(norm, { ...tensors.get(norm)!, bytes });
  });
  const refused = {
    name: 'WeightFileError',
    tensor: norm,
    file: expect.stringContaining('model.safetensors') as string,
  };
  expect(await engine.inspectModel(model)).toMatchObject({ family: 'gemma3', problem: refused });
  await expect(answer(model)).rejects.toMatchObject(refused);
});

test('a model without one of its tensors is refused by name', async () => {
  const model = await changedModel('without', (tensors) => void tensors.delete(norm));
  const refused = { name: 'WeightNamesError', missing: ['layers.2.attn.qNorm.weight'] };
  const found = await engine.inspectModel(model);
  expect(found).toMatchObject({ family: 'gemma3', problem: refused });
  expect(found.tensors.map(({ name }) => name)).toContain('layers.2.attn.kNorm.weight');
  await expect(answer(model)).rejects.toMatchObject(refused);
});

test('a model that is whole is told of, and answers', async () => {
  expect(await engine.inspectModel(folder)).toMatchObject({
    format: 'safetensors',
    family: 'gemma3',
    problem: null,
  });
  expect((await answer(folder)).tokens).toBe(2);
});

test('an adapter over a base that changed at its place is refused by tensor, wherever it is used', async () => {
  const base = await changedModel('replaced', () => undefined);
  const run = join(folder, 'over-replaced');
  await engine.runTraining(
    resolveTrainConfig({
      weightLoader: loaderOf(base),
      data: { source: join(folder, 'rows.jsonl') },
      steps: 2,
      saveEvery: 1,
      batchSize: 2,
      sampleCount: 0,
      outDir: run,
    }),
  );
  const exported = join(folder, 'over-replaced-exported');
  await engine.export({ run, step: 1, out: exported, model: null, form: { to: 'result' } });
  const notices: string[] = [];
  const answered = (adapter: string, over: Partial<GenerateRequest> = {}) =>
    quietly({ model: base, adapter, ...over }, (notice) => void notices.push(notice));
  for (const adapter of [run, exported]) expect(await answered(adapter)).toHaveLength(1);
  expect(notices.join()).not.toContain('was trained over');

  await changedModel('replaced', (tensors) => {
    const bytes = (tensors.get(norm)!.bytes as Uint8Array).slice();
    new DataView(bytes.buffer).setFloat32(bytes.length - 4, 1.25, true);
    tensors.set(norm, { ...tensors.get(norm)!, bytes });
  });
  const refused = { name: 'BaseMismatchError', tensors: ['layers.2.attn.qNorm.weight'] };
  for (const adapter of [run, exported]) await expect(answered(adapter)).rejects.toMatchObject(refused);
  await expect(answered(run, { best: true })).rejects.toThrow();
  const about = { onNotice: () => undefined, onProgress: () => undefined, signal: new AbortController().signal };
  const request = { model: base, adapters: { ours: run } };
  const data = { source: join(folder, 'rows.jsonl') };
  const out = join(folder, 'over-replaced-merged');
  const merge = { run: exported, step: null, out, model: base, form: { to: 'merged' } } as const;
  for (const using of [
    () => engine.openChat(request, about),
    () => engine.openAnswerer({ ...request, rows: 1, maxLength: 64 }, about),
    () => engine.evaluateModel({ ...request, data, batchSize: 1, maxTokens: 1 }, about),
    () => engine.export(merge),
  ])
    await expect(using()).rejects.toMatchObject(refused);
  await expect(readdir(out)).rejects.toThrow(/ENOENT/);
  await expect(engine.export({ ...merge, run })).rejects.toMatchObject({
    name: 'UsageError',
    message: `The run in ${run} was made of something else than it is given now: weights.`,
  });
  await expect(engine.export({ ...merge, run, anyBase: true })).rejects.toThrow(/--any-base is for an adapter alone/);
  // A run may mean to go on from it over other weights: it is told.
  const told: string[] = [];
  await engine.runTraining(
    resolveTrainConfig({
      weightLoader: loaderOf(base),
      data,
      adapter: engine.openAdapter(run),
      steps: 1,
      batchSize: 1,
      sampleCount: 0,
      outDir: join(folder, 'gone-on'),
    }),
    { logger: { onNotice: (notice) => void told.push(notice) } },
  );
  expect(told.join()).toMatch(/adapter that is gone on from was trained over other weights.*layers\.2\.attn\.qNorm/);
  // Whoever knows better says so; files that only hold it otherwise are told of.
  expect(await answered(run, { anyBase: true })).toHaveLength(1);
  expect((await engine.export({ ...merge, anyBase: true })).files).toContain('model.safetensors');
  const model = join(folder, 'tiny.gguf');
  await writeFile(model, await tinyGguf());
  expect(await answered(run, { model })).toHaveLength(1);
  expect(notices.join()).toMatch(/was trained over safetensors of f32, and this base is gguf of .*is not known/);
});

test('prompts of a file have their pictures beside it, which are missed before anything is answered', async () => {
  const file = join(folder, 'prompts.jsonl');
  await writeFile(file, '{"prompt": "a", "image": "none.png"}\n{"prompt": "b"}\n');
  const prompts = await engine.readPrompts(file);
  expect(prompts).toEqual([
    { prompt: 'a', images: [join(folder, 'none.png')] },
    { prompt: 'b', images: [] },
  ]);
  await expect(quietly({ prompts, model: join(folder, 'nowhere') })).rejects.toThrow(/none\.png cannot be read/);
  await expect(engine.readPrompts(join(folder, 'none.txt'))).rejects.toMatchObject({ name: 'UsageError' });
});

test('a model is evaluated beside its adapter, on rows in a file', async () => {
  const adapter = fileURLToPath(new URL('../../../test/fixtures/evaluation/adapter', import.meta.url));
  const quiet = { onNotice: () => undefined, onProgress: () => undefined, signal: new AbortController().signal };
  const request = { model: folder, adapters: { tuned: adapter }, batchSize: 2, maxTokens: 3 };
  const found = await engine.evaluateModel({ ...request, data: { source: join(folder, 'rows.jsonl') } }, quiet);
  expect(found).toMatchObject({ model: folder, data: join(folder, 'rows.jsonl') });
  expect(found.variants).toMatchObject([
    { name: 'base', perplexity: { rows: 4 }, exactMatch: { right: 0, rows: 4 } },
    { name: 'tuned', perplexity: { rows: 4 }, choiceAccuracy: null },
  ]);
  await writeFile(join(folder, 'wrong.jsonl'), '{"prompt": "a", "choices": ["b", "c"], "answer": 2}\n');
  const wrong = engine.evaluateModel({ ...request, data: { source: join(folder, 'wrong.jsonl') } }, quiet);
  await expect(wrong).rejects.toThrow(/wrong\.jsonl:1: field 'answer'/);
});

test.runIf(process.platform !== 'win32')(
  'a picture that is a pipe, a device or a folder is refused, not waited for',
  async () => {
    const pipe = join(folder, 'pipe.png');
    execFileSync('mkfifo', [pipe]);
    for (const [picture, why] of [
      [pipe, /pipe\.png: is a pipe/],
      ['/dev/zero', /is a pipe, a device/],
      [folder, /is a folder/],
      [join(folder, 'none.png'), /none\.png cannot be read: there is no such file/],
    ] as const) {
      await expect(answer(folder, [picture])).rejects.toThrow(why);
      await expect(answer(folder, [picture])).rejects.toThrow(UsageError);
    }
  },
);

/** Serves a file at a URL, whole or in ranges, while `use` has it. */
async function served<T>(file: Uint8Array, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(({ headers, method }, response) => {
    const [, from = '0', to = file.length - 1] = /bytes=(\d+)-(\d+)/.exec(headers.range ?? '') ?? [];
    const part = file.subarray(Number(from), Number(to) + 1);
    response.writeHead(headers.range === undefined ? 200 : 206, {
      'content-length': part.length,
      'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${file.length}`,
    });
    response.end(method === 'HEAD' ? undefined : part);
  }).listen(0);
  try {
    const { port } = server.address() as AddressInfo;
    return await use(`http://localhost:${port}/tiny.gguf`);
  } finally {
    server.close();
  }
}

const tinyGguf = () => readFile(new URL('../../../test/fixtures/gguf/gemma3-tiny-f32.gguf', import.meta.url));

test('a model elsewhere is told of by its headers: its values are not fetched to be looked at', async () => {
  const file = await tinyGguf();
  // Were they, this would be refused.
  for (let at = file.length - 256; at < file.length; at += 4) file.writeFloatLE(Number.NaN, at);
  const found = await served(file, (url) => engine.inspectModel(url));
  expect(found).toMatchObject({ format: 'gguf', family: 'gemma3', problem: null });
  expect(found.notices.join()).toContain('only headers were read');
  await writeFile(join(folder, 'nan.gguf'), file);
  expect(await engine.inspectModel(join(folder, 'nan.gguf'))).toMatchObject({ problem: { name: 'WeightFileError' } });
});

test('a model that lacks a layer is told of and refused, here as elsewhere', async () => {
  const file = await tinyGguf();
  const key = 'gemma3.block_count';
  // After the key the type of the value, then the value.
  const at = file.indexOf(key) + key.length + 4;
  const layers = file.readUInt32LE(at);
  file.writeUInt32LE(layers + 1, at);
  const refused = {
    family: 'gemma3',
    problem: {
      name: 'WeightNamesError',
      missing: expect.arrayContaining([`layers.${layers}.attn.qNorm.weight`]) as unknown,
    },
  };
  expect(await served(file, (url) => engine.inspectModel(url))).toMatchObject(refused);
  await writeFile(join(folder, 'lacking.gguf'), file);
  expect(await engine.inspectModel(join(folder, 'lacking.gguf'))).toMatchObject(refused);
});

test('a released model is planned from its name: PaliGemma 3B at 224 pixels, LoRA, in 8 GB', async () => {
  const config = resolveTrainConfig({
    weightLoader: loaderOf('paligemma-3b-224'),
    data: { source: 'none' },
    batchSize: 1,
    maxLength: 128,
    lora: { rank: 16 },
    gradientCheckpointing: true,
  });
  const planned = await engine.planRelease('paligemma-3b-224', config);
  expect(planned.parameters - planned.trainableParameters).toBe(2_923_335_408);
  const total = planned.memory.reduce((n, { bytes }) => n + bytes, 0);
  expect(total).toBeGreaterThan(2 * 2_923_335_408);
  expect(total).toBeLessThan(8e9);
});

test('a run may not write its adapter over the one that it goes on from', async () => {
  const run = engine.runTraining(
    resolveTrainConfig({
      weightLoader: loaderOf(folder),
      data: { source: join(folder, 'rows.jsonl') },
      adapter: engine.openAdapter(join(folder, 'first')),
      outDir: `${folder}/other/../first/`,
      overwrite: true,
    }),
  );
  await expect(run).rejects.toThrow(/adapter: found '.*; allowed: another folder than the one the run goes into/);
});

test('a run becomes files for TRL that name its base, with its rows read again', async () => {
  const run = join(folder, 'for-trl');
  const data = { source: join(folder, 'rows.jsonl') };
  await engine.runTraining(
    resolveTrainConfig({
      weightLoader: loaderOf(folder),
      data,
      steps: 2,
      saveEvery: 1,
      batchSize: 2,
      sampleCount: 0,
      outDir: run,
    }),
  );
  const request = { run, step: null, model: null, out: join(folder, 'trl'), form: { to: 'trl' } } as const;
  const { step, files } = await engine.export(request);
  expect(step).toBe(0);
  expect(files).toEqual(expect.arrayContaining(['train.py', 'rows.jsonl', 'adapter/adapter_model.safetensors']));
  const about = JSON.parse(await readFile(join(folder, 'trl', 'run.json'), 'utf8')) as {
    model: string;
    steps: unknown[];
  };
  expect(about).toMatchObject({ model: folder, rowsOfStep: 2, batchSize: 2 });
  expect(about.steps).toHaveLength(2);
  await expect(engine.export(request)).rejects.toThrow(/holds run\.json already/);
  const rest = await engine.export({ ...request, step: 1, out: join(folder, 'trl-rest') });
  expect(rest.step).toBe(1);
  const alone = join(folder, 'alone');
  await engine.export({ ...request, step: 1, out: alone, form: { to: 'result' } });
  await expect(engine.export({ ...request, run: alone, out: join(folder, 'x') })).rejects.toThrow(
    /an adapter, and no run/,
  );
});
