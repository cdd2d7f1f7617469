// What runs leave for others to read: without LoRA a folder that opens by itself, whatever the model came from; else an adapter.
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveTrainConfig, runTraining, type TrainConfig } from '@lapidary/trainer';
import { modelWeightLoader, openSafetensors, type WeightLoader } from '@lapidary/weights';
import { fileSource } from '@lapidary/weights/node';
import { TextModel } from 'lapidary';
import { afterAll, beforeAll, expect, it } from 'vitest';

const fixture = (path: string) => fileURLToPath(new URL(`fixtures/${path}`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-full-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function train(
  from: string,
  outDir: string,
  lora: TrainConfig['lora'] = null,
  loader: Partial<WeightLoader> = {},
) {
  const notices: string[] = [];
  const rows = Array.from({ length: 4 }, () => ({
    messages: [
      { role: 'user', content: 'The lamp' },
      { role: 'assistant', content: 'by the river' },
    ],
  }));
  const { exported } = await runTraining(
    resolveTrainConfig({
      weightLoader: { ...modelWeightLoader({ from }), ...loader },
      data: { source: rows },
      lora,
      optimizer: { learningRate: 1e-2 },
      steps: 1,
      batchSize: 2,
      maxLength: 48,
      sampleCount: 0,
      outDir,
    }),
    { logger: { onNotice: (notice) => void notices.push(notice) } },
  );
  return { exported, notices };
}

/** What a model says next, which takes its tokenizer and chat template. */
async function opens(from: string): Promise<Float32Array> {
  const model = await TextModel.open(modelWeightLoader({ from }));
  try {
    expect(model.chatTemplateFrom).toBe('model');
    return await model.nextLogits([{ role: 'user', content: 'The lamp' }]);
  } finally {
    model.destroy();
  }
}

it('a GGUF becomes a folder with a tokenizer, its chat template and where answers end', async () => {
  const out = join(folder, 'gguf');
  const { exported, notices } = await train(fixture('gguf/gemma3-tiny-q8_0.gguf'), out);
  expect(notices).toEqual([]);
  expect(exported).toEqual(
    expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']),
  );
  expect((await opens(out)).every(Number.isFinite)).toBe(true);
  const generation = JSON.parse(await readFile(join(out, 'generation_config.json'), 'utf8')) as object;
  expect(generation).toMatchObject({ eos_token_id: [1, 7] });
});

/** A multimodal Gemma 3 as the hub has it, its chat template in a file of its own. */
async function multimodalFolder(): Promise<string> {
  const source = join(folder, 'source');
  await mkdir(source, { recursive: true });
  for (const file of ['config.json', 'generation_config.json', 'model.safetensors'])
    await copyFile(fixture(`models/gemma3-vlm-tiny/${file}`), join(source, file));
  await copyFile(fixture('tokenizer/tokenizer.json'), join(source, 'tokenizer.json'));
  const { chat_template: template, ...config } = JSON.parse(
    await readFile(fixture('tokenizer/tokenizer_config.json'), 'utf8'),
  ) as Record<string, unknown>;
  await writeFile(join(source, 'tokenizer_config.json'), JSON.stringify(config));
  await writeFile(join(source, 'chat_template.jinja'), String(template));
  await writeFile(join(source, 'preprocessor_config.json'), '{"image_processor_type": "Gemma3ImageProcessor"}');

  return source;
}

it('a multimodal folder keeps its form, its files and its other tower', async () => {
  const source = await multimodalFolder();
  const out = join(folder, 'vlm');
  await train(source, out);
  expect((await opens(out)).every(Number.isFinite)).toBe(true);
  const written = await readdir(out);
  for (const file of await readdir(source)) expect(written, file).toContain(file);
  for (const file of ['chat_template.jinja', 'preprocessor_config.json', 'tokenizer_config.json'])
    expect(await readFile(join(out, file), 'utf8')).toBe(await readFile(join(source, file), 'utf8'));
  const [before, after] = await Promise.all([source, out].map((from) => modelWeightLoader({ from }).open()));
  expect(after!.passedOn.map(({ name }) => name)).toEqual(
    expect.arrayContaining(before!.passedOn.map(({ name }) => name)),
  );
  expect(after!.metadata).toMatchObject({ model_type: 'gemma3', architectures: ['Gemma3ForConditionalGeneration'] });
  await before!.close();
  await after!.close();
});

it('an adapter of it has the names of its class, and names no path of this machine', async () => {
  const out = join(folder, 'lora');
  const { notices } = await train(await multimodalFolder(), out, { rank: 2 }, { description: join(folder, 'source') });
  const config = JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(config['base_model_name_or_path']).toBeNull();
  expect(notices).toEqual([
    expect.stringMatching(/^No row has a picture/),
    expect.stringMatching(/names no base model.*--base-model-name/),
  ]);
  const source = await fileSource(join(out, 'adapter_model.safetensors'));
  const { tensors } = await openSafetensors(source);
  await source.close?.();
  expect(tensors.size).toBe(6 * 7 * 2);
  for (const name of tensors.keys()) expect(name).toMatch(/^base_model\.model\.model\.language_model\.layers\./);
});

it('an adapter names the hub id that its model was opened by', async () => {
  const out = join(folder, 'named');
  const { notices } = await train(await multimodalFolder(), out, { rank: 2 }, { description: 'google/gemma-3-4b-it' });
  const config = JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(config['base_model_name_or_path']).toBe('google/gemma-3-4b-it');
  expect(notices).toEqual([expect.stringMatching(/^No row has a picture/)]);
});
