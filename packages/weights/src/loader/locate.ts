import { hostParamOf, type Layout, type Model, type ParamSpec, withoutPrefixes } from '@lapidary/gemma/model';
import { type DType, dtypeInfo, isQuantised } from '@lapidary/kernels/dtype';
import type { StoredTensor } from '../container.js';
import { dtypeOf } from '../dtype/names.js';
import { WeightDTypeError, WeightNamesError, WeightShapeError } from '../errors.js';
import { type Place, placesOf } from '../layout/places.js';
import { listWithNearest } from './nearest.js';
import type { WeightEntry } from './types.js';

/** A parameter and where its bytes lie. */
export interface LocatedWeight {
  readonly path: string;
  /** The parameter's part of what is stored: one range of bytes, and the shape that this part has there. */
  readonly stored: StoredTensor;
  /** Of the file. */
  readonly storedDType: DType;
  /** Added to the values. */
  readonly offset: number;
  /** The stored axes in the parameter's order, where that is another. */
  readonly permute?: readonly number[];
  readonly entry: WeightEntry;
}

/** What of a model is in files. */
export interface LocatedWeights {
  readonly weights: ReadonlyMap<string, LocatedWeight>;
  readonly ignored: readonly string[];
  /** Those of `ignored` that are other parts of the checkpoint; see `OpenedWeights.passedOn`. */
  readonly passedOn: readonly StoredTensor[];
  /** A stored output projection, to be compared with the embedding. */
  readonly tiedCopy: { readonly stored: StoredTensor; readonly embedding: string } | undefined;
  /** Path of the model's table that stays in its file; undefined where it has none. Whether `weights` has it is another thing. */
  readonly onHost: string | undefined;
}

/** What a file need not have. */
export interface LocateOptions {
  /** The model may have more words than the file: the file's are its first. */
  readonly vocabMayGrow?: boolean;
}

/** Where every parameter of a model lies in a file; each stored value belongs to one, or the file is refused. */
export function locate(
  tensors: ReadonlyMap<string, StoredTensor>,
  layout: Layout,
  model: Model,
  where: string,
  { vocabMayGrow = false }: LocateOptions = {},
): LocatedWeights {
  const stored = byBareName(tensors, layout, where);
  const weights = new Map<string, LocatedWeight>();
  const taken = new Map<string, number>();
  for (const spec of model.params) {
    const { path } = spec;
    const place = placesOf(layout, spec).find(({ name }) => stored.has(name));
    if (place === undefined) continue;
    const whole = stored.get(place.name) as StoredTensor;
    const grows = vocabMayGrow && path === model.embeddingPath && (whole.shape[0] ?? 0) < (spec.shape[0] ?? 0);
    const weight = locateOne(whole, place, spec, grows);
    taken.set(place.name, (taken.get(place.name) ?? 0) + weight.stored.byteLength);
    weights.set(path, weight);
  }
  const ignored: string[] = [];
  const passedOn: StoredTensor[] = [];
  const unknown: string[] = [];
  for (const [bare, tensor] of stored) {
    const { name } = tensor;
    if (taken.has(bare) || bare === layout.tiedCopy || layout.constants?.[bare] !== undefined) continue;
    if (layout.passedOn?.test(bare)) passedOn.push(tensor);
    (layout.ignored.test(bare) ? ignored : unknown).push(name);
  }
  if (unknown.length > 0) {
    throw new WeightNamesError(
      where,
      `${unknown.length} tensors belong to no parameter of this ${model.title}:\n` +
        listWithNearest(
          unknown,
          [...tensors.keys()].filter((name) => !unknown.includes(name)),
        ),
      { unexpected: unknown },
    );
  }
  for (const [bare, bytes] of taken) checkWholeTaken(stored.get(bare) as StoredTensor, bytes, model);
  const copy = stored.get(layout.tiedCopy);
  const tiedCopy = copy && { stored: copy, embedding: model.embeddingPath };
  return { weights, ignored, passedOn, tiedCopy, onHost: hostParamOf(model)?.path };
}

function byBareName(tensors: ReadonlyMap<string, StoredTensor>, layout: Layout, where: string) {
  const stored = new Map<string, StoredTensor>();
  for (const [name, tensor] of tensors) {
    const bare = withoutPrefixes(layout, name);
    const twin = stored.get(bare);
    if (twin !== undefined) {
      throw new WeightNamesError(where, `${twin.name} and ${name} are the same parameter.`, { unexpected: [name] });
    }
    stored.set(bare, tensor);
  }
  return stored;
}

/** An array that holds several parameters must hold no more of them than the model has. */
function checkWholeTaken(stored: StoredTensor, bytes: number, { title }: Model): void {
  if (bytes === stored.byteLength) return;
  throw new WeightNamesError(
    stored.source.name,
    `${stored.name} has shape [${stored.shape.join(', ')}], of which a ${title} takes only ${bytes} of ${stored.byteLength} bytes. The weights do not belong to this configuration.`,
    { unexpected: [stored.name] },
  );
}

function locateOne(
  whole: StoredTensor,
  { at, permute, offset }: Place,
  spec: ParamSpec,
  grows: boolean,
): LocatedWeight {
  const { path } = spec;
  const file = whole.source.name;
  const storedDType = dtypeOf(whole.type);
  const refuse = (problem: string) =>
    new WeightDTypeError({ file, tensor: whole.name, dtype: whole.type }, `is stored as ${whole.type}, ${problem}`);
  if (storedDType === undefined || storedDType === 'i32' || storedDType === 'u32') {
    throw refuse('which weights cannot be read from.');
  }
  if (isQuantised(storedDType) && (permute || at.length > 0)) throw refuse('which cannot be taken apart.');
  const shape = whole.shape.slice(at.length);
  const ordered = permute?.map((axis) => shape[axis] ?? 0) ?? shape;
  const expected = grows ? [whole.shape[0] ?? 0, ...spec.shape.slice(1)] : spec.shape;
  const isApart = permute !== undefined || at.length > 0;
  const fits =
    ordered.length === shape.length &&
    at.every((index, axis) => index < (whole.shape[axis] ?? 0)) &&
    (isApart ? merges(ordered, expected) : same(shape, expected));
  if (!fits) throw new WeightShapeError({ path, expected: spec.shape, found: whole.shape, file, tensor: whole.name });
  const bytes = whole.byteLength / product(whole.shape.slice(0, at.length));
  const nth = at.reduce((index, i, axis) => index * (whole.shape[axis] as number) + i, 0);
  // Words that are new cannot be written as blocks.
  const dtype = offset !== 0 ? 'f32' : grows && isQuantised(storedDType) ? 'bf16' : storedDType;
  return {
    path,
    stored: { ...whole, shape, offset: whole.offset + nth * bytes, byteLength: bytes },
    storedDType,
    offset,
    ...(permute && { permute }),
    entry: { shape: spec.shape, dtype, sourceName: whole.name, file },
  };
}

/** Whether neighbouring axes of `from` can be put together to give `to`. */
function merges(from: readonly number[], to: readonly number[]): boolean {
  let at = 0;
  for (const size of to) {
    let merged = 1;
    while (at < from.length && (merged < size || from[at] === 1)) merged *= from[at++] as number;
    if (merged !== size) return false;
  }
  return at === from.length;
}

const same = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((size, i) => size === b[i]);
const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);

/** Bytes of a tensor. */
export function bytesOf(shape: readonly number[], dtype: DType): number {
  return (product(shape) / dtypeInfo[dtype].blockSize) * dtypeInfo[dtype].blockBytes;
}
