import type { HfFiles, Model, ModelConfig } from '@lapidary/gemma';
import { readWhole } from '../source/byte-source.js';
import { closeAll } from '../source/close-all.js';
import type { ModelSource } from '../source/model-source.js';
import type { Container } from './open-container.js';
import type { LocatedWeights } from './locate.js';
import { openHostRows } from './host-rows.js';
import { readWeight, streamWeights } from './stream.js';
import type { OpenedWeights } from './types.js';

/** Weights that have been found, as their loader hands them out. `beside` is where further files are looked for. */
export function openWeights<C extends ModelConfig>(
  model: Model<C>,
  { format, metadata, generation }: Pick<Container, 'format' | 'metadata' | 'generation'>,
  located: LocatedWeights,
  {
    name,
    beside,
    close,
    notices,
    files,
  }: {
    name: string;
    beside: readonly ModelSource[];
    close: () => Promise<void>;
    notices: readonly string[];
    files: HfFiles;
  },
): OpenedWeights<C> {
  const first = async <T>(read: (source: ModelSource) => Promise<T | undefined>) => {
    for (const source of beside) {
      const found = await read(source);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const table = located.weights.get(located.onHost ?? '');
  return {
    config: model.config,
    model,
    format,
    metadata,
    files,
    listsEnds: (generation?.['eos_token_id'] ?? null) !== null,
    notices,
    passedOn: located.passedOn,
    hostRows: table && openHostRows(table),
    entries: new Map([...located.weights].map(([path, { entry }]) => [path, entry])),
    readText: (file) => first((source) => source.readText(file)),
    readBytes: (file) =>
      first(async (source) => {
        const bytes = await source.open(file);
        return bytes && readWhole(bytes);
      }),
    read: (path, dtype, signal) => readWeight(located, name, path, dtype, signal),
    load: (targets, sink, options) => streamWeights(located, name, targets, sink, options),
    close,
  };
}

/** Opens sources one after the other, does something with them, and closes them if that fails. */
export async function withSources<T>(
  opening: readonly (() => Promise<ModelSource>)[],
  body: (sources: readonly ModelSource[], close: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const sources: ModelSource[] = [];
  const close = () => closeAll(sources);
  try {
    for (const open of opening) sources.push(await open());
    return await body(sources, close);
  } catch (error) {
    // What went wrong first is what there is to tell.
    await close().catch(() => undefined);
    throw error;
  }
}
