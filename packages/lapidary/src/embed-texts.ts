import { Embedder, EmbeddingModelError, type EmbedderOptions } from '@lapidary/gemma';
import { DatasetError, readRows } from '@lapidary/trainer';
import type { ByteSource } from '@lapidary/weights';
import type { Answerer, EmbedRequest, EmbedResult } from './engine.js';
import type { TextModel } from './text-model.js';

/** The texts of one column of rows. @throws DatasetError naming file and line */
export async function textsOfRows(source: ByteSource, key: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const { value, line } of readRows(source)) {
    const fields = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
    const text = typeof value === 'string' ? value : fields[key];
    if (typeof text !== 'string' || text === '') {
      const names = Object.keys(fields).slice(0, 20).join(', ') || 'nothing';
      throw new DatasetError({
        file: source.name,
        line,
        message: `this row has no text '${key}'; it has: ${names}. Name another with --key`,
      });
    }
    texts.push(text);
  }
  if (texts.length === 0) throw new DatasetError({ file: source.name, message: 'there are no rows' });
  return texts;
}

/** Vectors of texts by a model that is on the device. @throws EmbeddingError, IllFormedTextError; the signal's reason */
export async function embedTexts(
  opened: TextModel,
  texts: readonly string[],
  { prompt, size, batchSize, maxLength }: Omit<EmbedRequest, 'model' | 'adapter' | 'anyBase' | 'quantize' | 'texts'>,
  signal: AbortSignal,
): Promise<EmbedResult> {
  const { gpu, model, tokenizer } = opened;
  const embedder = new Embedder(
    gpu,
    { model, params: opened.params(), tokenizer, hostRows: opened.hostRows },
    { ...(batchSize !== undefined && { batchSize }), ...(maxLength !== undefined && { maxLength }) },
  );
  try {
    const { vectors, cut } = await embedder.embed(texts, {
      signal,
      ...(prompt !== undefined && { prompt }),
      ...(size !== undefined && { size }),
    });
    return { texts, vectors, cut, maxLength: embedder.maxLength };
  } finally {
    await embedder.destroy();
  }
}

/** A model that makes vectors for whoever asks; texts beyond its room are refused. `close` gives the model back. */
export function embedderOf(opened: TextModel, { batchSize, maxLength }: Required<EmbedderOptions>): Answerer {
  const { gpu, model, tokenizer } = opened;
  const size = { batchSize, maxLength: Math.min(maxLength, model.maxPositionEmbeddings) };
  const embedders = new Map<string | null, Embedder>();
  const withAdapter = (adapter: string | null) => {
    const embedder =
      embedders.get(adapter) ??
      new Embedder(gpu, { model, params: opened.params({ adapter }), tokenizer, hostRows: opened.hostRows }, size);
    embedders.set(adapter, embedder);
    return embedder;
  };
  return {
    adapters: opened.adapters,
    maxLength: size.maxLength,
    ask: () => Promise.reject(new EmbeddingModelError(model.name)),
    embed: (texts, { adapter, prompt, size: values, signal }) =>
      withAdapter(adapter).embed(texts, {
        tooLong: 'error',
        signal,
        ...(prompt !== undefined && { prompt }),
        ...(values !== undefined && { size: values }),
      }),
    close: async () => {
      for (const embedder of embedders.values()) await embedder.destroy();
      opened.destroy();
    },
  };
}
