// EmbeddingGemmas as the product exports them, against what PEFT and sentence-transformers made of the files (test/fixtures/embeddings).
import { loraUpdates, type ParamTree, paramTree, planVariables, type ParamPlan } from '@lapidary/gemma';
import { type Gpu, openGpu } from '@lapidary/gpu';
import { evaluate } from '@lapidary/tensor';
import { bufferSource, type ModelLocation, readPeftAdapter } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddingAdapter, embeddingAdapterCases, mergedEmbedding, ownEmbedding } from './support/embedding-cases.js';
import { embeddingFiles } from './support/embedding-fixture.js';
import { loadEmbedding, fixtureBatch } from './support/embedding-model.js';
import { relativeError } from './support/relative-error.js';
import { fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const judged = await fixtureJson<Record<string, Record<string, string>>>('embeddings/exports.json');
const vectors = await fixtureTensors('embeddings/exports.safetensors');

const hex = (bytes: ArrayBuffer) => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, '0')).join('');
const sha256 = async (bytes: Uint8Array) => hex(await crypto.subtle.digest('SHA-256', bytes.slice()));
const sourcesOf = (files: Iterable<readonly [string, Uint8Array]>): ModelLocation =>
  [...files].map(([name, bytes]) => bufferSource(name, bytes));

/** The files are those that were judged. */
async function expectJudged(name: string, files: ReadonlyMap<string, Uint8Array>) {
  const hashes = await Promise.all([...files].map(async ([file, bytes]) => [file, await sha256(bytes)] as const));
  expect(Object.fromEntries(hashes)).toEqual(judged[name]);
}

/** Texts and vectors of a fixture: a model with towers has those of its text model. */
const referenceOf = (model: string) => model.replace('-whole', '');

/** Vectors of the model's texts are those that Python has with the files. */
async function expectVectors(
  name: string,
  model: string,
  {
    params,
    embedding,
    forward,
  }: Pick<Awaited<ReturnType<typeof loadEmbedding>>['model'], 'embedding' | 'forward'> & {
    params: ParamTree;
  },
) {
  const reference = await fixtureTensors(`embeddings/${referenceOf(model)}/reference.safetensors`);
  for (const side of ['query', 'document']) {
    const { inputs, tokenWeights } = fixtureBatch(
      gpu,
      reference.get(`${side}.input_ids`)!,
      reference.get(`${side}.attention_mask`)!,
    );
    const [found] = await evaluate(gpu, [embedding!.embed(params, forward(params, inputs).hidden, tokenWeights)]);
    expect(relativeError(found!, vectors.get(`${name}.${side}`)!.data)).toBeLessThan(1e-5);
  }
}

describe.each(embeddingAdapterCases.map((each) => [each.name, each] as const))('%s', (name, adapterCase) => {
  it('is what PEFT was given, and has its vectors', async () => {
    const files = await embeddingAdapter(adapterCase);
    await expectJudged(name, new Map(Object.entries(files)));
    const { model, variables } = await loadEmbedding(gpu, await embeddingFiles(adapterCase.model));
    const adapter = await readPeftAdapter(sourcesOf(Object.entries(files)) as Parameters<typeof readPeftAdapter>[0], {
      model,
    });
    for (const [path, values] of adapter.params) variables.get(path)!.write(values);
    const rows = new Map<string, Float32Array>();
    for (const [path, values] of adapter.tensors) rows.set(path, values);
    // A DoRA is compared where it is merged, below.
    if (adapterCase.lora.dora) return;
    const plans = new Map<string, ParamPlan>(
      [...rows].map(([path, values]) => {
        const { rank } = adapter.updates.get(path.replace(/\.lora\.\w+$/, ''))!;
        const shape = path.endsWith('.a') ? [rank, values.length / rank] : [values.length / rank, rank];
        return [path, { shape, dtype: 'f32', category: 'trainable' }];
      }),
    );
    const lora = planVariables(plans);
    for (const [path, variable] of lora) variable.allocate(gpu).write(rows.get(path)!);
    const updates = loraUpdates(model.params, adapterCase.lora);
    await expectVectors(name, adapterCase.model, {
      params: paramTree(new Map([...variables, ...lora]), updates),
      embedding: model.embedding!,
      forward: model.forward,
    });
  });

  it('is merged into a folder that sentence-transformers opens', async () => {
    const files = await mergedEmbedding(adapterCase, await embeddingAdapter(adapterCase));
    await expectJudged(`${name}-merged`, files);
    const { model, variables } = await loadEmbedding(gpu, sourcesOf(files));
    await expectVectors(`${name}-merged`, adapterCase.model, {
      params: paramTree(variables),
      embedding: model.embedding!,
      forward: model.forward,
    });
    // What was not trained is the base's, file by file.
    const before = new Map((await embeddingFiles(adapterCase.model)).map((source) => [source.name, source]));
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
      const source = before.get(file)!;
      expect(files.get(file), file).toEqual(await source.read(0, source.size));
    }
    const json = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    for (const [file, source] of before)
      if (file.endsWith('.json') && file !== 'config.json')
        expect(json(files.get(file)!), file).toEqual(json(await source.read(0, source.size)));
  });
});

it.each(['odd', 'old', 'second'])(
  'a whole folder of other weights is what sentence-transformers opens: %s',
  async (model) => {
    const files = await ownEmbedding(model);
    await expectJudged(`${model}-own`, files);
    const loaded = await loadEmbedding(gpu, sourcesOf(files));
    await expectVectors(`${model}-own`, model, {
      params: paramTree(loaded.variables),
      embedding: loaded.model.embedding!,
      forward: loaded.model.forward,
    });
  },
);
