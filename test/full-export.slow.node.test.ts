// What a run without LoRA leaves: a folder that opens by itself, whatever the model came from.
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { modelWeightLoader } from '@lapidary/weights';
import { TextModel } from 'lapidary';
import { afterAll, beforeAll, expect, it } from 'vitest';

const fixture = (path: string) => fileURLToPath(new URL(`fixtures/${path}`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-full-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function trainWhole(from: string, outDir: string) {
  const rows = Array.from({ length: 4 }, () => ({
    messages: [
      { role: 'user', content: 'The lamp' },
      { role: 'assistant', content: 'by the river' },
    ],
  }));
  const { exported } = await runTraining(
    resolveTrainConfig({
      weightLoader: modelWeightLoader({ from }),
      data: { source: rows },
      lora: null,
      steps: 1,
      batchSize: 2,
      maxLength: 48,
      sampleCount: 0,
      outDir,
    }),
  );
  return exported;
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
  expect(await trainWhole(fixture('gguf/gemma3-tiny-q8_0.gguf'), out)).toEqual(
    expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']),
  );
  expect((await opens(out)).every(Number.isFinite)).toBe(true);
  const generation = JSON.parse(await readFile(join(out, 'generation_config.json'), 'utf8')) as object;
  expect(generation).toMatchObject({ eos_token_id: [1, 7] });
});

it('a multimodal folder keeps its form, its files and its other tower', async () => {
  const source = join(folder, 'source');
  const out = join(folder, 'vlm');
  await mkdir(source);
  for (const file of ['config.json', 'generation_config.json', 'model.safetensors'])
    await copyFile(fixture(`models/gemma3-vlm-tiny/${file}`), join(source, file));
  await copyFile(fixture('tokenizer/tokenizer.json'), join(source, 'tokenizer.json'));
  const { chat_template: template, ...config } = JSON.parse(
    await readFile(fixture('tokenizer/tokenizer_config.json'), 'utf8'),
  ) as Record<string, unknown>;
  await writeFile(join(source, 'tokenizer_config.json'), JSON.stringify(config));
  await writeFile(join(source, 'chat_template.jinja'), String(template));
  await writeFile(join(source, 'preprocessor_config.json'), '{"image_processor_type": "Gemma3ImageProcessor"}');

  await trainWhole(source, out);
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
