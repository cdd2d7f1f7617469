import { loraSpecs, loraUpdates, createRandom, type HfConfig, type LoraOptions, type Model } from '@lapidary/gemma';
import { createMemoryStore, exportAdapter } from '@lapidary/trainer';
import {
  embeddingGemmaWeightLoader,
  encodeFloats,
  hfModelFolder,
  peftAdapterFiles,
  bufferSource,
} from '@lapidary/weights';
import { embeddingFiles } from './embedding-fixture.js';
import { peftFileBytes } from './peft-files.js';

/** An adapter of an EmbeddingGemma that PEFT has judged, alone and merged: test/fixtures/embeddings/exports.*. */
export interface EmbeddingAdapterCase {
  readonly name: string;
  /** Of test/fixtures/embeddings. */
  readonly model: string;
  readonly lora: LoraOptions;
  /** Parameters that are trained whole beside it. */
  readonly saved?: RegExp;
}

const inText: NonNullable<LoraOptions['targets']> = ({ tower }) => tower === 'language';

const atEnds: NonNullable<LoraOptions['targets']> = ({ path }) => /\.[qv]Proj\.|PerLayer|perLayer|head/.test(path);

export const embeddingAdapterCases: readonly EmbeddingAdapterCase[] = [
  { name: 'odd-lora', model: 'odd', lora: { rank: 3, alpha: 6, targets: inText } },
  {
    name: 'old-dora-saved',
    model: 'old',
    lora: { rank: 2, alpha: 4, dora: true, targets: ({ path }) => /\.[qv]Proj\./.test(path) },
    saved: /^embedTokens\.|\.downProj\./,
  },
  // Head included: there it is a part of the text model.
  { name: 'second-lora', model: 'second', lora: { rank: 3, alpha: 6 } },
  { name: 'second-whole-lora', model: 'second-whole', lora: { rank: 2, alpha: 4, targets: atEnds } },
];

const draws = (seed: number) => {
  const random = createRandom(seed);
  return (shape: readonly number[], from: number, to: number) =>
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => from + (to - from) * random());
};

async function openFixture(name: string): Promise<{ readonly model: Model; readonly baseConfig: HfConfig }> {
  const weights = await embeddingGemmaWeightLoader({ from: await embeddingFiles(name) }).open();
  await weights.close();
  return { model: weights.model, baseConfig: weights.metadata };
}

/** The adapter's files as the product writes them. */
export async function embeddingAdapter({ model: name, lora, saved }: EmbeddingAdapterCase) {
  const { model, baseConfig } = await openFixture(name);
  const draw = draws(5);
  const tensors = new Map<string, Float32Array>();
  for (const [path, { shape, kind }] of loraSpecs(model.params, lora))
    if (kind !== 'weightNorm') tensors.set(path, kind === 'magnitude' ? draw(shape, 0.5, 2) : draw(shape, -0.25, 0.25));
  const params = new Map(
    model.params
      .filter(({ path }) => saved?.test(path))
      .map(({ path, shape }) => [
        path,
        { dtype: 'f32' as const, shape, bytes: encodeFloats(draw(shape, -0.5, 0.5), 'f32') },
      ]),
  );
  return peftFileBytes(
    peftAdapterFiles({ model, baseConfig, updates: loraUpdates(model.params, lora), tensors, params }),
  );
}

/** The folder of the base merged with an adapter, as the product writes it. */
export async function mergedEmbedding(
  { model }: Pick<EmbeddingAdapterCase, 'model'>,
  adapter: Readonly<Record<string, Uint8Array>>,
): Promise<Map<string, Uint8Array>> {
  const out = createMemoryStore();
  const { files } = await exportAdapter({
    adapter: Object.entries(adapter).map(([name, bytes]) => bufferSource(name, bytes)),
    base: embeddingGemmaWeightLoader({ from: await embeddingFiles(model) }),
    out,
    form: { to: 'merged' },
  });
  return new Map(await Promise.all(files.map(async (name) => [name, await out.read(name)] as const)));
}

/** A folder with other weights, head included, without a base: every file but the tokenizer's is the product's own. */
export async function ownEmbedding(name: string): Promise<Map<string, Uint8Array>> {
  const { model } = await openFixture(name);
  const draw = draws(9);
  const params = new Map(
    model.params.map(({ path, shape }) => [
      path,
      { dtype: 'f32' as const, shape, bytes: encodeFloats(draw(shape, -0.4, 0.4), 'f32') },
    ]),
  );
  const files = new Map<string, Uint8Array>();
  for (const [file, content] of Object.entries(hfModelFolder(model, params))) {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for await (const piece of content instanceof Uint8Array ? [content] : content)
      pieces.push(piece as Uint8Array<ArrayBuffer>);
    files.set(file, new Uint8Array(await new Blob(pieces).arrayBuffer()));
  }
  for (const source of await embeddingFiles(name))
    if (source.name.startsWith('tokenizer')) files.set(source.name, await source.read(0, source.size));
  return files;
}
