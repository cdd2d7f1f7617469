import * as v from 'valibot';
import type { Answerer } from '../engine.js';
import { ApiError } from './api-error.js';
import { embeddingFields, parseFields } from './request-fields.js';

const schema = v.object(embeddingFields);

/** Who is asked, and under which names. */
interface AskedEmbedder {
  readonly answerer: Answerer;
  /** What the model by itself is called. */
  readonly modelName: string;
  readonly signal: AbortSignal;
}

/** The name of the model that a body asks for. */
export const askedModel = (body: unknown): string => parseFields(schema, body).model;

/** The answer to POST /v1/embeddings. @throws ApiError; EmbeddingError for a size or a text that cannot be */
export async function respondEmbeddings(
  body: unknown,
  { answerer, modelName, signal }: AskedEmbedder,
): Promise<object> {
  const {
    model,
    input,
    dimensions,
    encoding_format: format = 'float',
    prompt_name: prompt,
  } = parseFields(schema, body);
  if (answerer.embed === undefined)
    throw new ApiError(`${model} answers; it makes no vectors. EmbeddingGemma is a model that does`, {
      param: 'model',
    });
  const { vectors, tokens } = await answerer.embed([input].flat(), {
    adapter: model === modelName ? null : model,
    prompt,
    size: dimensions,
    signal,
  });
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: format === 'float' ? [...vector] : base64Of(vector),
    })),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** Bytes of the values, the lowest first, as every machine that WebGPU runs on has them. */
const base64Of = (vector: Float32Array): string =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
