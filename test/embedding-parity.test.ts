// EmbeddingGemma against sentence-transformers in f32, on random checkpoints that it wrote (test/fixtures/embeddings).
import { paramTree, planVariables, type ParamPlan, type Tokenizer } from '@lapidary/gemma';
import { type Gpu, openGpu } from '@lapidary/gpu';
import {
  evaluate,
  gradients,
  linearCrossEntropy,
  mul,
  reshape,
  sum,
  type Tensor,
  variableFrom,
} from '@lapidary/tensor';
import { openModel } from '@lapidary/trainer';
import { bufferSource, embeddingGemmaWeightLoader, modelWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddingFiles } from './support/embedding-fixture.js';
import { relativeError } from './support/relative-error.js';
import { fixtureJson, fixtureTensors, type FixtureTensor } from './support/safetensors-fixture.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

interface Reference {
  readonly queries: readonly string[];
  readonly documents: readonly string[];
  readonly window_in_memory: number;
  readonly max_seq_length: number;
}

const i32 = (data: ArrayLike<number>, shape: readonly number[]) =>
  variableFrom(gpu, Int32Array.from(data), shape, { dtype: 'i32' }).tensor;

/** What a batch of encoded texts is to a model: every token of a row in one block, padding in segment 0. */
function batchOf(ids: FixtureTensor, mask: FixtureTensor) {
  const [batch, tokens] = ids.shape as [number, number];
  const lengths = Array.from({ length: batch }, (_, row) => {
    const real = Array.from(mask.data).slice(row * tokens, (row + 1) * tokens);
    return real.reduce((a, b) => a + b, 0);
  });
  const info = Array.from(mask.data).flatMap((real, i) => [real, 0, i % tokens, 0]);
  const weights = Float32Array.from(mask.data, (real, i) => real / lengths[Math.floor(i / tokens)]!);
  return {
    inputs: { inputIds: i32(ids.data, [batch, tokens]), tokenInfo: i32(info, [batch, tokens, 4]) },
    tokenWeights: variableFrom(gpu, weights, [batch, tokens]).tensor,
  };
}

/** The name of a parameter in the fixture, written down again here so that tests do not rest on the loader's tables. */
function torchName(path: string): string {
  const names: Record<string, string> = {
    embedTokens: 'embed_tokens',
    finalNorm: 'norm',
    inputNorm: 'input_layernorm',
    postAttnNorm: 'post_attention_layernorm',
    preMlpNorm: 'pre_feedforward_layernorm',
    postMlpNorm: 'post_feedforward_layernorm',
    attn: 'self_attn',
  };
  const head = /^head\.(\d+)\.dense\.weight$/.exec(path);
  if (head) return `${Number(head[1]) + 2}.linear.weight`;
  return path
    .split('.')
    .map((part) => names[part] ?? part.replace(/(Proj|Norm)$/, (end) => `_${end.toLowerCase()}`))
    .join('.');
}

async function loaded(name: string) {
  const from = await embeddingFiles(name);
  const { weights, model, tokenizer } = await openModel(embeddingGemmaWeightLoader({ from }));
  const plans = new Map<string, ParamPlan>(
    model.params.map(({ path, shape }) => [path, { shape, dtype: 'f32', category: 'trainable' }]),
  );
  const variables = planVariables(plans);
  for (const variable of variables.values()) variable.allocate(gpu);
  await weights.load(plans, {
    write: (path, offset, bytes) => variables.get(path)!.write(bytes, offset),
  });
  return { weights, model, tokenizer, variables };
}

const encode = (tokenizer: Tokenizer, prompt: string, texts: readonly string[]) =>
  texts.map((text) => tokenizer.encode(prompt + text));

describe.each(['odd', 'old'])('%s', (name) => {
  it('reads what the files say, and encodes texts as sentence-transformers does', async () => {
    const { model, tokenizer } = await loaded(name);
    const reference = await fixtureJson<Reference>(`embeddings/${name}/reference.json`);
    const tensors = await fixtureTensors(`embeddings/${name}/reference.safetensors`);
    const windows = model.layers.flatMap(({ window }) => window ?? []);
    expect(windows).toEqual([reference.window_in_memory, reference.window_in_memory]);
    expect(model.maxPositionEmbeddings).toBe(reference.max_seq_length);
    const { prompts } = model.embedding!;
    for (const [side, texts] of [
      ['query', reference.queries],
      ['document', reference.documents],
    ] as const) {
      const ids = tensors.get(`${side}.input_ids`)!;
      const tokens = ids.shape[1]!;
      encode(tokenizer, prompts[side]!, texts).forEach((found, row) => {
        const expected = Array.from(ids.data.slice(row * tokens, row * tokens + found.length));
        expect(found).toEqual(expected);
        expect([found[0], found.at(-1)]).toEqual([tokenizer.bosId, tokenizer.eosId]);
      });
    }
  });

  it('has the vectors, the contrastive loss and every gradient of sentence-transformers', async () => {
    const { model, variables } = await loaded(name);
    const reference = await fixtureTensors(`embeddings/${name}/reference.safetensors`);
    const params = paramTree(variables);
    const side = (which: string, options: { gradientCheckpointing?: boolean | number }): Tensor => {
      const { inputs, tokenWeights } = batchOf(
        reference.get(`${which}.input_ids`)!,
        reference.get(`${which}.attention_mask`)!,
      );
      return model.embedding!.embed(params, model.forward(params, inputs, options).hidden, tokenWeights);
    };
    const paths = [...variables.keys()];
    for (const gradientCheckpointing of [false, 2]) {
      const queries = side('query', { gradientCheckpointing });
      const documents = side('document', { gradientCheckpointing });
      const count = queries.shape[0]!;
      const targets = i32(
        Array.from({ length: count }, (_, i) => i),
        [count],
      );
      const { losses } = linearCrossEntropy(mul(queries, 20), documents, targets);
      const loss = reshape(mul(sum(losses), 1 / count), []);
      const grads = gradients(
        loss,
        paths.map((path) => variables.get(path)!.tensor),
      );
      const [ourQueries, ourDocuments, ourLoss, ...ours] = await evaluate(gpu, [
        queries,
        documents,
        loss,
        ...grads.map((grad) => grad!),
      ]);
      expect(relativeError(ourQueries!, reference.get('query')!.data)).toBeLessThan(1e-5);
      expect(relativeError(ourDocuments!, reference.get('document')!.data)).toBeLessThan(1e-5);
      expect(Math.abs(ourLoss![0]! - reference.get('loss')!.data[0]!)).toBeLessThan(1e-5 * ourLoss![0]!);
      paths.forEach((path, i) => {
        const expected = reference.get(`grad.${torchName(path)}`)!.data;
        const norm = Math.hypot(...expected);
        const difference = Math.hypot(...Array.from(expected, (e, j) => ours[i]![j]! - e));
        expect(difference / norm, `gradient of ${path}`).toBeLessThan(1e-4);
      });
    }
  });
});

it('is found by its files, without being told which family it is', async () => {
  const weights = await modelWeightLoader({ from: await embeddingFiles('odd') }).open();
  expect(weights.config.family).toBe('embeddinggemma');
});

it('refuses a text model without a head', async () => {
  const files = await embeddingFiles('odd');
  const alone = files.filter(({ name }) => !/\/|modules/.test(name)).map((file) => bufferSourceOf(file));
  await expect(modelWeightLoader({ from: await Promise.all(alone) }).open()).rejects.toThrow(
    /modules\.json is missing, but an EmbeddingGemma is a whole folder of sentence-transformers/,
  );
});

async function bufferSourceOf(file: {
  name: string;
  size: number;
  read(at: number, length: number): Promise<Uint8Array>;
}) {
  return bufferSource(file.name, await file.read(0, file.size));
}
