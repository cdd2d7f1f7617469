import {
  familyOf,
  hostParamOf,
  type HfFiles,
  type Model,
  type ModelConfig,
  type ModelFamily,
} from '@lapidary/gemma/model';
import { WeightNamesError } from '../errors.js';
import { layoutOf } from '../layout/places.js';
import {
  type ModelLocation,
  type ModelSource,
  type ModelSourceOptions,
  openModelSource,
} from '../source/model-source.js';
import { locate, type LocatedWeight, type LocatedWeights } from './locate.js';
import { checkConstants } from './check-constants.js';
import { knownFamilies } from './known-families.js';
import { openContainer, openFolders } from './open-container.js';
import { openWeights, withSources } from './open-weights.js';
import { readConfig } from './read-config.js';
import type { OpenedWeights, WeightLoader } from './types.js';

/** Where a model's weights are, and what it may be. */
export interface ModelWeightLoaderOptions<C extends ModelConfig = ModelConfig> extends ModelSourceOptions {
  /** A folder, a file, a URL, a hub id, or files at hand. Left out where only `parts` are at hand; `config` then says what the rest is like. */
  readonly from?: ModelLocation;
  /**
   * Parts whose weights come from files of their own, in place of those of `from`, by what the model calls them (`Model.parts`):
   * `decoder`. Their words are the first of the vocabulary.
   */
  readonly parts?: Readonly<Record<string, ModelLocation>>;
  /** Where tokenizer files are, if not beside the weights: a folder or a hub id. */
  readonly tokenizer?: ModelLocation;
  /** What the model is like, in place of what the files say. */
  readonly config?: C;
  /** Changes what the files, or `config`, say the model is like. */
  readonly adjustConfig?: (config: C) => C;
  /**
   * The families that it may be of, or what loads them when files are opened: also ones that this repository does not know. Default: all
   * that it knows.
   */
  readonly families?: readonly ModelFamily<C>[] | (() => Promise<readonly ModelFamily<C>[]>);
}

/**
 * Reads any model, whichever of `families` the files say they are of. Nothing is read before `open`, which throws
 * - WeightSourceError where files are not there or cannot be had,
 * - WeightFileError, WeightNamesError, WeightShapeError, WeightDTypeError for files that are broken or not of the model,
 * - UnknownModelError, ConfigError for a model that is not known.
 * @throws TypeError where neither `from` is given, nor `parts` and `config`
 */
export function modelWeightLoader<C extends ModelConfig = ModelConfig>(
  options: ModelWeightLoaderOptions<C>,
): WeightLoader<C> {
  const { from, parts = {}, tokenizer, config, adjustConfig, families, ...sourceOptions } = options;
  const given = Object.entries(parts).filter(([, location]) => location !== undefined);
  const partNames = given.map(([name]) => name);
  if (from === undefined && (partNames.length === 0 || config === undefined))
    throw new TypeError('modelWeightLoader: `from` must be given, or `parts` and `config`.');
  const locations = [from, ...given.map(([, location]) => location), tokenizer].filter(
    (location) => location !== undefined,
  );
  return {
    open: () =>
      withSources(
        locations.map((location) => () => openModelSource(location, sourceOptions)),
        (sources, close) => {
          const [whole, ...others] = from === undefined ? [undefined, ...sources] : sources;
          return openModel<C>({
            whole,
            parts: new Map(partNames.map((name, i) => [name, others[i] as ModelSource])),
            // The whole model's tokenizer before that of a part: a decoder's knows nothing of places and pictures.
            beside: tokenizer === undefined ? sources : [sources.at(-1)!, ...sources.slice(0, -1)],
            close,
            options,
          });
        },
      ),
  };
}

interface Sources<C extends ModelConfig> {
  readonly whole: ModelSource | undefined;
  readonly parts: ReadonlyMap<string, ModelSource>;
  /** Where further files are looked for, in this order. */
  readonly beside: readonly ModelSource[];
  readonly close: () => Promise<void>;
  readonly options: ModelWeightLoaderOptions<C>;
}

/** A model whose sources have been opened. */
async function openModel<C extends ModelConfig>(sources: Sources<C>): Promise<OpenedWeights<C>> {
  const { whole, parts, beside, close, options } = sources;
  const { families: given = knownFamilies } = options;
  const families: readonly ModelFamily[] = typeof given === 'function' ? await given() : given;
  const notices: string[] = [];
  const tell = (notice: string) => void notices.push(notice);
  const container = whole && (await openContainer(whole, tell, options.signal));
  // `families` are those of C, so what they read is one.
  const { config: described, files } = options.config
    ? { config: options.config, files: {} }
    : ((await readConfig(container!, whole!, families, tell)) as { config: C; files: HfFiles });
  const config = options.adjustConfig?.(described) ?? described;
  const model = familyOf(config, families).describe(config) as Model<C>;

  const onHost = hostParamOf(model)?.path;
  let located: LocatedWeights = { weights: new Map(), ignored: [], passedOn: [], tiedCopy: undefined, onHost };
  let locatedText: LocatedWeights | undefined;
  if (container && whole) {
    const layout = layoutOf(model, container.format, whole.name);
    const others = await openFolders(whole, layout.folders ?? [], options.signal);
    located = locate(new Map([...container.tensors, ...others]), layout, model, whole.name);
    await checkConstants(container.tensors, layout, options.signal);
    if (model.textPart && parts.size === 0) {
      const textLayout = layoutOf(model.textPart, container.format, whole.name);
      locatedText = locate(container.tensors, textLayout, model.textPart, whole.name);
    }
  }
  for (const [name, source] of parts)
    located = await withPart(located, { model, name, source, families, options, tell });
  const name = [whole, ...parts.values()].flatMap((source) => source?.name ?? []).join(' and ');
  const noticesBefore = notices.length;
  const missing = model.params.filter(({ path }) => !located.weights.has(path));
  if (missing.length > 0 && container !== undefined) {
    const listed = missing.slice(0, 3).map(({ path }) => path);
    tell(
      `${name}: ${missing.length} parameters have no weights in the files: ${listed.join(', ')}${missing.length > 3 ? ', …' : ''}.`,
    );
  }
  const place = { name, beside, close, notices, files };
  const about = container ?? { format: 'safetensors', metadata: {} };
  const opened = openWeights(model, about, located, place);
  if (model.textPart === undefined || locatedText === undefined) return opened;
  // What its own parameters lack, the load says.
  const told = notices.slice(0, noticesBefore);
  return { ...opened, textPart: openWeights(model.textPart, about, locatedText, { ...place, notices: told }) };
}

/** The weights with those of a part in place of what was there. */
async function withPart<C extends ModelConfig>(
  located: LocatedWeights,
  {
    model,
    name,
    source,
    families,
    options,
    tell,
  }: {
    model: Model<C>;
    name: string;
    source: ModelSource;
    families: readonly ModelFamily[];
    options: ModelWeightLoaderOptions<C>;
    tell: (notice: string) => void;
  },
): Promise<LocatedWeights> {
  const part = Object.hasOwn(model.parts, name) ? model.parts[name] : undefined;
  if (part === undefined)
    throw new TypeError(
      `A ${model.title} has no part '${name}'; it has ${Object.keys(model.parts).join(', ') || 'none'}.`,
    );
  const container = await openContainer(source, tell, options.signal);
  const { config } = await readConfig(container, source, [...families, ...(await knownFamilies())], tell);
  const { family } = config;
  const expected = part.model.config.family;
  if (family !== expected)
    throw new WeightNamesError(
      source.name,
      `is a ${family}, but this ${model.name} has a ${expected} as its ${name}.`,
      {},
    );
  const layout = layoutOf(part.model, container.format, source.name);
  const found = locate(container.tensors, layout, part.model, source.name, { vocabMayGrow: true });

  const weights = new Map(located.weights);
  const ignored = [...located.ignored];
  for (const [path, weight] of found.weights) {
    const place = part.prefix + path;
    const replaced: LocatedWeight | undefined = weights.get(place);
    if (replaced) ignored.push(replaced.stored.name);
    weights.set(place, { ...weight, path: place });
  }
  const embedding = part.prefix + part.model.embeddingPath;
  return {
    weights,
    ignored: [...new Set([...ignored, ...found.ignored])],
    passedOn: located.passedOn,
    onHost: located.onHost,
    // A copy of the embedding that is no longer the model's says nothing.
    tiedCopy: embedding === model.embeddingPath ? found.tiedCopy && { ...found.tiedCopy, embedding } : located.tiedCopy,
  };
}
