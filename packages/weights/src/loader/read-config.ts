import {
  ArrayShapesError,
  familiesOfNpz,
  familyOfGguf,
  familyOfHf,
  type HfFiles,
  type ModelConfig,
  type ModelFamily,
  type WeightFormat,
} from '@lapidary/gemma/model';
import { WeightFileError, WeightNamesError } from '../errors.js';
import type { ModelSource } from '../source/model-source.js';
import { knownFamilies } from './known-families.js';
import { generationFile, type Container, readJsonValue } from './open-container.js';

/** What files say. */
export interface ReadConfig {
  readonly config: ModelConfig;
  /** Further JSON files that say it; see `HfReader.gather`. */
  readonly files: HfFiles;
}

/**
 * What files say their model is like, by one of these families. `tell` is told of what was left out of account.
 * @throws UnknownModelError, ConfigError; WeightFileError, WeightNamesError naming the file where it is of none of them
 */
export async function readConfig(
  container: Container,
  source: ModelSource,
  families: readonly ModelFamily[],
  tell: (notice: string) => void,
): Promise<ReadConfig> {
  const { format, metadata } = container;
  const file = source.name;
  if (readableAs(format, families).length === 0) return refuse(format, file, families);
  switch (format) {
    case 'safetensors': {
      const { hf } = familyOfHf(metadata, families);
      const files = (await hf.gather?.((name) => readJsonValue(source, name))) ?? {};
      const json = { ...metadata, ...endOfAnswers(container, file) };
      return { config: hf.read(json, (notice) => tell(`${file}: ${notice}`), files), files };
    }
    case 'gguf': {
      const { gguf } = familyOfGguf(textIn(metadata, 'general.architecture'), families);
      return { config: gguf.read(metadata), files: {} };
    }
    case 'npz':
      return { config: readShapes(container, file, families), files: {} };
  }
}

/** What ends answers is said beside config.json, and there too: as in transformers the former holds, for the whole model. */
function endOfAnswers({ generation }: Container, file: string): { eos_token_id?: unknown } {
  const ids = generation?.['eos_token_id'];
  if (ids === undefined || ids === null) return {};
  const list: unknown[] = Array.isArray(ids) ? ids : [ids];
  if (list.length === 0 || !list.every((id) => Number.isSafeInteger(id) && Number(id) >= 0)) {
    throw new WeightFileError(
      { file: `${file}, ${generationFile}` },
      `its eos_token_id is ${JSON.stringify(ids).slice(0, 80)}, neither a token id nor a list of them.`,
    );
  }
  return { eos_token_id: ids };
}

function readableAs(format: WeightFormat, families: readonly ModelFamily[]): readonly ModelFamily[] {
  const reader = ({ safetensors: 'hf', gguf: 'gguf', npz: 'npz' } as const)[format];
  return families.filter((family) => family[reader] !== undefined);
}

function textIn(metadata: Container['metadata'], key: string): string {
  const value = metadata[key];
  return typeof value === 'string' ? value : `(no ${key})`;
}

/** An npz does not say whose it is: that of the first family whose arrays it has. */
function readShapes({ tensors }: Container, file: string, families: readonly ModelFamily[]): ModelConfig {
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  const refusals: ArrayShapesError[] = [];
  for (const { npz } of familiesOfNpz(families)) {
    try {
      return npz.read(shapes);
    } catch (error) {
      if (!(error instanceof ArrayShapesError)) throw error;
      refusals.push(error);
    }
  }
  const first = refusals[0]!;
  const problem = refusals.map(({ message }) => message).join(' ');
  if (first.shape === undefined) throw new WeightNamesError(file, problem, { missing: [first.array] });
  throw new WeightFileError({ file, tensor: first.array }, problem, { cause: first });
}

async function refuse(format: WeightFormat, file: string, families: readonly ModelFamily[]): Promise<never> {
  const list = (of: readonly ModelFamily[]) => of.map(({ id }) => id).join(', ');
  const others = readableAs(format, await knownFamilies());
  const hint =
    others.length === 0
      ? ''
      : `, but ${list(others)} can: load it as that, or as a part (a decoder, say) of a model that has such a part`;
  throw new WeightFileError({ file }, `is of the format ${format}, in which ${list(families)} cannot be read${hint}.`);
}
