import { type DType, dtypeInfo } from '@lapidary/kernels/dtype';
import { canConvert, convertBytes } from '../dtype/convert.js';
import { WeightDTypeError, WeightNamesError, WeightShapeError } from '../errors.js';
import { type ByteSource, free, readAhead } from '../source/byte-source.js';
import { bytesOf, type LocatedWeight, type LocatedWeights } from './locate.js';
import { type OrderedReader, readInOrder, type WantedRange } from '../source/read-in-order.js';
import { listWithNearest } from './nearest.js';
import { permuted } from './permute.js';
import type { LoadReport } from './report.js';
import type { LoadOptions, WeightSink, WeightTarget } from './types.js';

const defaultChunkBytes = 8 * 2 ** 20;
/** Values in a piece are a multiple of this: whole blocks of every type, and whole words of 4 bytes. */
const pieceValues = 256;

interface Job {
  readonly weight: LocatedWeight;
  readonly target: WeightTarget;
}

/** A parameter, or its rows from `firstRow` on, that the file does not hold. */
interface Absent {
  readonly path: string;
  readonly spec: WeightTarget;
  readonly firstRow: number;
}

/** A vocabulary may be longer than the file's: its first rows are there. */
function isPartial({ stored, permute }: LocatedWeight, { shape }: WeightTarget): boolean {
  return permute === undefined && shape.length === 2 && (stored.shape[0] ?? 0) < (shape[0] ?? 0);
}

/** See `OpenedWeights.load`. */
export async function streamWeights(
  located: LocatedWeights,
  where: string,
  targets: ReadonlyMap<string, WeightTarget>,
  sink: WeightSink,
  options: LoadOptions = {},
): Promise<LoadReport> {
  const started = performance.now();
  const { signal, chunkBytes = defaultChunkBytes } = options;
  const { jobs, absent, spare } = match(located, where, targets, options);
  await checkTiedCopy(located, chunkBytes, signal);

  const totalBytes = jobs.reduce((sum, { weight }) => sum + weight.stored.byteLength, 0);
  let bytes = 0;
  // One pass over each file, whatever order the model wants.
  const sources = [...new Set(jobs.map(({ weight }) => weight.stored.source))];
  for (const source of sources.sort((a, b) => a.name.localeCompare(b.name))) {
    const own = jobs.filter(({ weight }) => weight.stored.source === source);
    own.sort((a, b) => a.weight.stored.offset - b.weight.stored.offset);
    const reader = readJobs(own, source, chunkBytes, signal);
    try {
      for (const job of own) {
        let written = 0;
        for await (const piece of piecesOf(job, reader, chunkBytes, signal)) {
          await sink.write(job.weight.path, written, piece.bytes);
          signal?.throwIfAborted();
          written += piece.bytes.length;
          bytes += piece.read;
          options.onProgress?.({ bytes, totalBytes, path: job.weight.path });
        }
      }
    } finally {
      await reader.close();
    }
    await source.verify?.(signal);
  }
  const initialised: string[] = [];
  const missing: string[] = [];
  let freshBytes = 0;
  for (const { path, spec, firstRow } of absent) {
    signal?.throwIfAborted();
    await sink.initialise?.(path, spec, firstRow);
    const rows = firstRow === 0 ? path : `${path}[${firstRow}:]`;
    (sink.initialise === undefined ? missing : initialised).push(rows);
    freshBytes += bytesOf([(spec.shape[0] ?? 1) - firstRow, ...spec.shape.slice(1)], spec.dtype);
  }
  const changed = ({ weight, target }: Job) =>
    target.dtype !== weight.storedDType || weight.offset !== 0 || weight.permute !== undefined;
  return {
    loaded: jobs.filter((job) => !changed(job)).map(({ weight }) => weight.path),
    converted: jobs.filter(changed).map(({ weight, target }) => ({
      path: weight.path,
      from: weight.storedDType,
      to: target.dtype,
      change: changeOf({ weight, target }),
    })),
    initialised,
    missing,
    unused: [...located.ignored, ...spare, ...(located.tiedCopy ? [located.tiedCopy.stored.name] : [])],
    bytes,
    freshBytes,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Axes apart: a weight in another order never has an offset. */
function changeOf({ weight, target }: Job): LoadReport['converted'][number]['change'] {
  if (target.dtype !== weight.storedDType) return 'type';
  return weight.permute === undefined ? 'offset' : 'axes';
}

function match(
  located: LocatedWeights,
  where: string,
  targets: ReadonlyMap<string, WeightTarget>,
  options: LoadOptions,
) {
  const jobs: Job[] = [];
  const absent: Absent[] = [];
  const lost: string[] = [];
  for (const [path, target] of targets) {
    const weight = located.weights.get(path);
    if (weight !== undefined) jobs.push(checked(weight, target));
    const firstRow = weight === undefined ? 0 : (weight.stored.shape[0] ?? 0);
    const isWhole = weight !== undefined && !isPartial(weight, target);
    if (isWhole) continue;
    if (matches(options.allowMissing, path)) absent.push({ path, spec: target, firstRow });
    else lost.push(firstRow === 0 ? path : `${path}[${firstRow}:]`);
  }
  const spare = [...located.weights.keys()].filter((path) => !targets.has(path));
  const unwanted = spare.filter((path) => !matches(options.allowUnused, path));
  if (lost.length > 0) {
    const problem = `${lost.length} parameters have no weights in the file:\n${listWithNearest(lost, spare)}`;
    throw new WeightNamesError(where, problem, { missing: lost, unexpected: unwanted });
  }
  if (unwanted.length > 0) {
    const problem = `${unwanted.length} parameters in the file were not asked for:\n${listWithNearest(unwanted, [...targets.keys()])}`;
    throw new WeightNamesError(where, problem, { unexpected: unwanted });
  }
  return { jobs, absent, spare: spare.map((path) => located.weights.get(path)?.stored.name ?? path) };
}

function checked(weight: LocatedWeight, target: WeightTarget): Job {
  const { path, stored, entry, storedDType } = weight;
  const where = { file: entry.file, tensor: stored.name };
  if (target.shape.length !== entry.shape.length || target.shape.some((size, i) => size !== entry.shape[i])) {
    throw new WeightShapeError({ path, expected: target.shape, found: entry.shape, ...where });
  }
  if (!canConvert(entry.dtype, target.dtype)) {
    throw new WeightDTypeError(
      { ...where, dtype: storedDType },
      `is stored as ${storedDType} and cannot become ${target.dtype}.`,
    );
  }
  return { weight, target };
}

function matches(pattern: LoadOptions['allowMissing'], path: string): boolean {
  if (pattern === undefined) return false;
  // search, unlike test, has no memory with the g flag
  return typeof pattern === 'function' ? pattern(path) : path.search(pattern) >= 0;
}

/** The pieces of all these, in this order. */
function readJobs(jobs: readonly Job[], source: ByteSource, chunkBytes: number, signal?: AbortSignal): OrderedReader {
  const ranges = jobs.flatMap((job) => rangesOf(job, chunkBytes));
  return readInOrder(source, ranges, { window: chunkBytes, signal });
}

/** What is read of a parameter at a time; of one in another order of axes nothing is read in order. */
function rangesOf({ weight, target }: Job, chunkBytes: number): WantedRange[] {
  const { stored, storedDType, permute } = weight;
  if (permute) return [];
  const unit = (dtypeInfo[storedDType].blockBytes / dtypeInfo[storedDType].blockSize) * pieceValues;
  // A converted piece may be seven times as large as what was read (4-bit blocks to f32): bound the larger of the two.
  const unitOut = (dtypeInfo[target.dtype].blockBytes / dtypeInfo[target.dtype].blockSize) * pieceValues;
  const piece = Math.max(1, Math.floor(chunkBytes / Math.max(unit, unitOut))) * unit;
  return Array.from({ length: Math.ceil(stored.byteLength / piece) }, (_, i) => ({
    offset: stored.offset + i * piece,
    length: Math.min(piece, stored.byteLength - i * piece),
  }));
}

/**
 * One parameter in pieces, as they are to be, each with the bytes that were read for it. Pieces are valid until the next is asked for.
 * `reader` has its ranges next.
 */
async function* piecesOf(
  job: Job,
  reader: OrderedReader,
  chunkBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly read: number }> {
  const { weight, target } = job;
  if (weight.permute) {
    const whole = readAhead(weight.stored.source, chunkBytes);
    for await (const { bytes, read } of permuted(weight, whole, { to: target.dtype, chunkBytes, signal })) {
      for (let from = 0; from < bytes.length; from += chunkBytes) {
        const piece = bytes.subarray(from, Math.min(from + chunkBytes, bytes.length));
        yield { bytes: piece, read: from + chunkBytes < bytes.length ? 0 : read };
      }
    }
    return;
  }
  for (const { length } of rangesOf(job, chunkBytes)) {
    const bytes = await reader.next();
    yield { bytes: convertBytes(bytes, weight.storedDType, target.dtype, weight.offset), read: length };
  }
}

/** See `OpenedWeights.read`. */
export async function* readWeight(
  located: LocatedWeights,
  where: string,
  path: string,
  dtype: DType,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const weight = located.weights.get(path);
  if (weight === undefined)
    throw new WeightNamesError(where, `${path} has no weights in the file.`, { missing: [path] });
  const job = checked(weight, { shape: weight.entry.shape, dtype });
  const reader = readJobs([job], weight.stored.source, defaultChunkBytes, signal);
  try {
    for await (const { bytes } of piecesOf(job, reader, defaultChunkBytes, signal)) yield bytes;
  } finally {
    await reader.close();
  }
}

/** @throws {WeightNamesError} when a stored output projection is not the embedding. */
async function checkTiedCopy(
  { tiedCopy, weights }: LocatedWeights,
  chunkBytes: number,
  signal?: AbortSignal,
): Promise<void> {
  if (tiedCopy === undefined) return;
  const copy = tiedCopy.stored;
  const embedding = weights.get(tiedCopy.embedding)?.stored;
  let same = embedding !== undefined && embedding.type === copy.type && embedding.byteLength === copy.byteLength;
  for (let at = 0; same && embedding && at < copy.byteLength; at += chunkBytes) {
    const length = Math.min(chunkBytes, copy.byteLength - at);
    const a = await embedding.source.read(embedding.offset + at, length, signal);
    const b = await copy.source.read(copy.offset + at, length, signal);
    same = a.every((byte, i) => byte === b[i]);
    free(a);
    free(b);
  }
  if (same) return;
  throw new WeightNamesError(
    copy.source.name,
    `${copy.name} differs from the embedding. The model shares the two; this checkpoint was trained with them apart, which is not supported.`,
    { unexpected: [copy.name] },
  );
}
