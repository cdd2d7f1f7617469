import {
  ArrayShapesError,
  familyOfGguf,
  familyOfHf,
  familyOfNpz,
  type ModelConfig,
  type ModelFamily,
  type WeightFormat,
} from '@lapidary/gemma/model';
import { WeightFileError, WeightNamesError } from '../errors.js';
import { generationFile, type Container } from './open-container.js';

/**
 * What files say their model is like, by one of these families. `tell` is told of what was left out of account.
 * @throws UnknownModelError, ConfigError; WeightFileError, WeightNamesError naming the file where it is of none of them
 */
export function readConfig(
  container: Container,
  file: string,
  families: readonly ModelFamily[],
  tell: (notice: string) => void,
): ModelConfig {
  const { format, metadata } = container;
  if (format === 'npz') return readShapes(container, file, families);
  if (format === 'gguf') return ggufOf(metadata, file, families).read(metadata);
  const json = { ...metadata, ...endOfAnswers(container, file) };
  return hfOf(metadata, file, families).read(json, (notice) => tell(`${file}: ${notice}`));
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

function hfOf(metadata: Container['metadata'], file: string, families: readonly ModelFamily[]) {
  const type = metadata['model_type'];
  const { hf } = familyOfHf(typeof type === 'string' ? type : '(no model_type)', families);
  return hf ?? refuse('safetensors', file, families);
}

function ggufOf(metadata: Container['metadata'], file: string, families: readonly ModelFamily[]) {
  if (families.every(({ gguf }) => gguf === undefined)) return refuse('gguf', file, families);
  const architecture = metadata['general.architecture'];
  const name = typeof architecture === 'string' ? architecture : '(no general.architecture)';
  return familyOfGguf(name, families).gguf ?? refuse('gguf', file, families);
}

function readShapes({ tensors }: Container, file: string, families: readonly ModelFamily[]): ModelConfig {
  const { npz } = familyOfNpz(families) ?? refuse('npz', file, families);
  try {
    return (npz ?? refuse('npz', file, families)).read(new Map([...tensors].map(([name, { shape }]) => [name, shape])));
  } catch (error) {
    if (!(error instanceof ArrayShapesError)) throw error;
    const { array, shape, message } = error;
    if (shape === undefined) throw new WeightNamesError(file, message, { missing: [array] });
    throw new WeightFileError({ file, tensor: array }, message, { cause: error });
  }
}

function refuse(format: WeightFormat, file: string, families: readonly ModelFamily[]): never {
  const names = families.map(({ id }) => id).join(', ');
  throw new WeightFileError(
    { file },
    `is of the format ${format}, in which ${names} cannot be read; a part of a model, its decoder, may come in it.`,
  );
}
