import { type GemmaConfig, gemmaConfigFromGguf, gemmaConfigFromHf, gemmaParamSpecs } from '@lapidary/gemma';
import type { DType } from '@lapidary/kernels';
import type { StoredTensor } from '../container.js';
import { dtypeOf } from '../dtype/names.js';
import { WeightDTypeError, WeightNamesError, WeightShapeError } from '../errors.js';
import { ggufLayout } from '../layout/gguf.js';
import { huggingFaceLayout } from '../layout/hugging-face.js';
import { type Layout, matchName } from '../layout/layout.js';
import { type ModelLocation, type ModelSourceOptions, openModelSource } from '../source/model-source.js';
import { listWithNearest } from './nearest.js';
import { openContainer } from './open-container.js';
import { streamWeights } from './stream.js';
import type { OpenedWeights, WeightEntry, WeightLoader } from './types.js';

export interface GemmaWeightLoaderOptions extends ModelSourceOptions {
  readonly from: ModelLocation;
}

/** A parameter and where its bytes lie. */
export interface LocatedWeight {
  readonly path: string;
  readonly stored: StoredTensor;
  /** Of the file. */
  readonly storedDType: DType;
  readonly offset: number;
  readonly entry: WeightEntry;
}

/** Reads the text weights of Gemma 1, 2 and 3 from a folder, a file, a URL or a hub, in safetensors or GGUF. */
export function gemmaWeightLoader(options: GemmaWeightLoaderOptions): WeightLoader {
  const { from, ...sourceOptions } = options;
  return {
    async open(): Promise<OpenedWeights> {
      const model = await openModelSource(from, sourceOptions);
      try {
        const { format, tensors, metadata } = await openContainer(model, options.signal);
        const config = format === 'gguf' ? gemmaConfigFromGguf(metadata) : gemmaConfigFromHf(metadata);
        const layout = format === 'gguf' ? ggufLayout : huggingFaceLayout;
        const located = locate(tensors, layout, config, model.name);
        return {
          config,
          format,
          metadata,
          entries: new Map([...located.weights].map(([path, { entry }]) => [path, entry])),
          readText: (name) => model.readText(name),
          load: (targets, sink, loadOptions) => streamWeights(located, model.name, targets, sink, loadOptions),
          close: () => model.close(),
        };
      } catch (error) {
        await model.close();
        throw error;
      }
    },
  };
}

export interface LocatedWeights {
  readonly weights: ReadonlyMap<string, LocatedWeight>;
  readonly ignored: readonly string[];
  /** A stored output projection, to be compared with the embedding. */
  readonly tiedCopy: StoredTensor | undefined;
}

function locate(
  tensors: ReadonlyMap<string, StoredTensor>,
  layout: Layout,
  config: GemmaConfig,
  where: string,
): LocatedWeights {
  const specs = gemmaParamSpecs(config);
  const weights = new Map<string, LocatedWeight>();
  const ignored: string[] = [];
  const unknown: string[] = [];
  let tiedCopy: StoredTensor | undefined;
  for (const [name, stored] of tensors) {
    const match = matchName(layout, config.family, name);
    if (match.kind === 'tied-copy') tiedCopy = stored;
    else if (match.kind === 'ignored') ignored.push(name);
    else if (match.kind === 'unknown' || !specs.has(match.path)) unknown.push(name);
    else {
      const { path, offset } = match;
      const twin = weights.get(path)?.stored.name;
      if (twin !== undefined) {
        throw new WeightNamesError(where, `${twin} and ${name} are both ${path}.`, { unexpected: [name] });
      }
      weights.set(path, locateOne(stored, path, offset, specs.get(path)?.shape ?? []));
    }
  }
  if (unknown.length > 0) {
    throw new WeightNamesError(
      where,
      `${unknown.length} tensors belong to no parameter of this ${config.family} with ${config.numLayers} layers:\n` +
        listWithNearest(
          unknown,
          [...tensors.keys()].filter((name) => !unknown.includes(name)),
        ),
      { unexpected: unknown },
    );
  }
  return { weights, ignored, tiedCopy };
}

function locateOne(stored: StoredTensor, path: string, offset: number, expected: readonly number[]): LocatedWeight {
  const file = stored.source.name;
  if (!sameShape(stored.shape, expected)) {
    throw new WeightShapeError({ path, expected, found: stored.shape, file, tensor: stored.name });
  }
  const storedDType = dtypeOf(stored.type);
  if (storedDType === undefined || storedDType === 'i32' || storedDType === 'u32') {
    throw new WeightDTypeError(
      { file, tensor: stored.name, dtype: stored.type },
      `is stored as ${stored.type}, which weights cannot be read from.`,
    );
  }
  const dtype = offset === 0 ? storedDType : 'f32';
  return { path, stored, storedDType, offset, entry: { shape: stored.shape, dtype, sourceName: stored.name, file } };
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
