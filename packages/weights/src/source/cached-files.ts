import { WeightFileError, WeightSourceError } from '../errors.js';
import { bufferSource, type ByteSource, largestWhole, readSourceText } from './byte-source.js';
import { cachedSource } from './cached-source.js';
import {
  type DownloadOptions,
  fetchBytes,
  fetchRange,
  fetchText,
  httpSourceIfThere,
  fileNameIn,
  isUnreachable,
  type RangeAnswer,
  reason,
} from './http.js';
import { fetchHubListing, type HubEntry, type HubListing, isCommit, parseHubListing } from './hub-listing.js';
import { type HubPlace, type HubRepository, hubFileUrl } from './platform.js';
import { createSha256 } from './sha256.js';
import {
  defaultPieceBytes,
  type FileRecord,
  type ModelCache,
  openModelCache,
  type PieceStore,
} from './weight-cache.js';

export interface CachedFilesOptions extends DownloadOptions {
  /** Default 8 MiB; smaller in tests. */
  readonly pieceBytes?: number;
}

/** What comes in pieces; all else is small and comes whole. */
const weightsPattern = /\.(safetensors|gguf|npz)$/i;
/** Small text. Hubs compress it, and a range of a compressed answer means something else. */
const textPattern = /\.(json|jinja|txt)$/i;

/** Of a file that the server said it does not have. */
const absentVersion = 'absent';

/** Pieces live in the cache: the browser's own need not hold them a second time. */
const notTwice = { cache: 'no-store' } as const;

/** A hub repository whose files are read through the browser's private file system. */
export async function openCachedHub(place: HubPlace, options: CachedFilesOptions): Promise<HubRepository> {
  if (options.cache === false) return { open: (file) => openUncached(hubFileUrl(place, file), file, options) };
  const name = `${place.endpoint === 'https://huggingface.co' ? '' : `${place.endpoint}/`}${place.id}@${place.revision}`;
  const cache = await openCache(name, options);
  const listing = await currentListing(place, cache, options);
  if (listing === undefined) {
    return {
      open: (file) => {
        const url = hubFileUrl(place, file);
        return textPattern.test(file)
          ? openText(cache, name, url, options)
          : openCachedUrlIn(cache, name, url, options);
      },
    };
  }
  // By commit: what a branch points to may change between two files, or two pieces.
  const pinned = { ...place, revision: listing.commit };
  return {
    files: listing.files.map((file) => file.name),
    async open(file) {
      const entry = listing.files.find((each) => each.name === file);
      if (entry === undefined) return undefined;
      const url = hubFileUrl(pinned, file);
      if (entry.size === undefined) return openUncached(url, file, options);
      const at = { cache, name, url, label: `${place.id}/${file}`, version: entry.sha256 ?? listing.commit };
      const known = { ...entry, size: entry.size };
      if (!weightsPattern.test(file) && entry.size <= largestWhole) return openWhole(known, at, options);
      return openPieces(known, at, pieceFetcher(url, known.size, undefined, options), options);
    },
  };
}

/** A file at a URL, read through the browser's private file system under the name of its model. */
export async function openCachedUrl(
  model: string,
  url: string,
  options: CachedFilesOptions,
): Promise<ByteSource | undefined> {
  if (options.cache === false) return openUncached(url, undefined, options);
  const name = withoutQuery(model);
  return openCachedUrlIn(await openCache(name, options), name, url, options);
}

/** A small text file at a URL: as the server has it now; without network, as it was last seen. */
export async function readCachedText(
  model: string,
  url: string,
  options: CachedFilesOptions,
): Promise<string | undefined> {
  if (options.cache === false) return fetchText(url, options);
  const name = withoutQuery(model);
  return readSourceText(await openText(await openCache(name, options), name, url, options));
}

/** What follows a question mark is most often a signature, which changes. */
function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/, '');
}

interface Place {
  readonly cache: ModelCache | undefined;
  /** Of the model. */
  readonly name: string;
  readonly url: string;
  /** What messages call the file. */
  readonly label: string;
  readonly version: string;
}

type Known = HubEntry & { readonly size: number };

async function openCache(name: string, options: CachedFilesOptions): Promise<ModelCache | undefined> {
  try {
    return await openModelCache(name);
  } catch (error) {
    options.onNotice?.(notKept(name, error));
    return undefined;
  }
}

function notKept(name: string, error: unknown): string {
  const isFull = error instanceof Error && error.name === 'QuotaExceededError';
  const why = isFull
    ? 'this browser gives the site no more room (removeCachedWeights frees some)'
    : `this browser does not let the page keep files (${reason(error)})`;
  return `The weights of ${name} are not kept for the next visit: ${why}. They are read from the network.`;
}

/** As the hub has it now; without network, as it was last seen. */
async function currentListing(
  place: HubPlace,
  cache: ModelCache | undefined,
  options: CachedFilesOptions,
): Promise<HubListing | undefined> {
  const known = parseHubListing(await cache?.readListing());
  // What a commit holds does not change.
  if (known !== undefined && known.commit === place.revision && isCommit(place.revision)) return known;
  let listing: HubListing | undefined;
  try {
    // With something to fall back on there is no point in trying long.
    listing = await fetchHubListing(
      place,
      known ? { ...options, retries: Math.min(options.retries ?? 1, 1) } : options,
    );
  } catch (error) {
    options.signal?.throwIfAborted();
    if (known !== undefined && isUnreachable(error)) return known;
    throw error;
  }
  if (listing !== undefined) await cache?.writeListing(listing).catch(() => undefined);
  return listing;
}

async function openUncached(
  url: string,
  file: string | undefined,
  options: CachedFilesOptions,
): Promise<ByteSource | undefined> {
  if (file !== undefined && textPattern.test(file)) {
    const text = await fetchText(url, options);
    return text === undefined ? undefined : bufferSource(file, new TextEncoder().encode(text));
  }
  return httpSourceIfThere(url, options);
}

function absent(error: unknown): undefined {
  if (error instanceof WeightSourceError && error.status === 404) return undefined;
  throw error;
}

/** In memory, kept for when there is no network. */
async function openText(
  cache: ModelCache | undefined,
  name: string,
  url: string,
  options: CachedFilesOptions,
): Promise<ByteSource | undefined> {
  const { pathname } = new URL(url);
  const known = await cache?.lastRecord(pathname);
  const store = known && (await openStore(cache, name, known, options));
  let bytes: Uint8Array | undefined;
  try {
    bytes = await fetchBytes(url, known ? impatient(options) : options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!isUnreachable(error)) throw error;
    if (known?.version === absentVersion) return undefined;
    const kept = await store?.read(0);
    if (kept === undefined) throw error;
    return bufferSource(pathname, kept);
  }
  if (bytes === undefined) {
    await keepAbsent(cache, name, pathname, options);
    return undefined;
  }
  const hash = createSha256();
  hash.update(bytes);
  const record = { file: pathname, version: hash.hex(), size: bytes.length, pieceBytes: Math.max(bytes.length, 1) };
  const own = await openStore(cache, name, record, options);
  if (!(await own?.has(0))) {
    await own?.write(0, bytes).catch((error: unknown) => options.onNotice?.(notKept(name, error)));
  }
  return bufferSource(pathname, bytes);
}

/** That the server has no such file is kept too, for when there is no network. */
async function keepAbsent(cache: ModelCache | undefined, name: string, file: string, options: CachedFilesOptions) {
  await openStore(cache, name, { file, version: absentVersion, size: 0, pieceBytes: 1 }, options);
}

/** With something to fall back on there is no point in trying long. */
function impatient(options: CachedFilesOptions): CachedFilesOptions {
  return { ...options, retries: Math.min(options.retries ?? 1, 1) };
}

/** Where the server says which version of the file it has, that version is kept. */
async function openCachedUrlIn(
  cache: ModelCache | undefined,
  name: string,
  url: string,
  options: CachedFilesOptions,
): Promise<ByteSource | undefined> {
  const label = fileNameIn(url);
  const { pathname } = new URL(url);
  const known = await cache?.lastRecord(pathname);
  let first: Pick<RangeAnswer, 'total' | 'version'> | undefined;
  try {
    const probe = { offset: 0, length: 1 };
    first = await fetchRange(url, probe, known ? impatient(options) : options, notTwice).catch(absent);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (known === undefined || !isUnreachable(error)) throw error;
    if (known.version === absentVersion) return undefined;
    first = { total: known.size, version: known.version };
  }
  if (first === undefined) {
    await keepAbsent(cache, name, pathname, options);
    return undefined;
  }
  const { total: size, version } = first;
  if (cache !== undefined && version === undefined) {
    options.onNotice?.(
      `The weights of ${name} are not kept for the next visit: the server names no ETag and no Last-Modified that this page may ` +
        'see, so a later change could not be noticed. They are read from the network.',
    );
  }
  const at = { cache: version === undefined ? undefined : cache, name, url, label, version: version ?? '' };
  return openPieces({ name: pathname, size }, at, pieceFetcher(url, size, first, options), options);
}

type PieceFetcher = (offset: number, length: number, signal?: AbortSignal) => Promise<Uint8Array>;

/** Where `first` is given, all pieces must be of the version that it was of. */
function pieceFetcher(
  url: string,
  size: number,
  first: Pick<RangeAnswer, 'version'> | undefined,
  options: CachedFilesOptions,
): PieceFetcher {
  return async (offset, length, signal) => {
    const part = await fetchRange(url, { offset, length, size }, { ...options, ...(signal && { signal }) }, notTwice);
    if (first !== undefined && part.version !== first.version)
      throw new WeightSourceError(url, 'the file changed on the server while it was read.');
    return part.bytes;
  };
}

async function openPieces(
  { name: file, size, sha256 }: Known,
  { cache, name, label, version }: Place,
  fetch: PieceFetcher,
  options: CachedFilesOptions,
): Promise<ByteSource> {
  const { pieceBytes = defaultPieceBytes, signal } = options;
  const store = await openStore(cache, name, { file, version, size, pieceBytes }, options);
  return cachedSource({
    name: label,
    size,
    pieceBytes,
    store,
    fetch,
    sha256,
    signal,
    onWriteFailure: (error) => options.onNotice?.(notKept(name, error)),
  });
}

/** A small file, in memory: kept as one piece, and only if it is what the hub says it is. */
async function openWhole(
  { name: file, size, sha256 }: Known,
  { cache, name, url, label, version }: Place,
  options: CachedFilesOptions,
): Promise<ByteSource | undefined> {
  const record = { file, version, size, pieceBytes: Math.max(size, 1) };
  const store = await openStore(cache, name, record, options);
  const kept = await store?.read(0);
  if (kept !== undefined) return bufferSource(label, kept);
  const bytes = await fetchBytes(url, options);
  if (bytes === undefined) return undefined;
  if (bytes.length !== size)
    throw new WeightFileError({ file: label }, `${bytes.length} bytes arrived, but the hub states ${size}. Try again.`);
  if (sha256 !== undefined) {
    const hash = createSha256();
    hash.update(bytes);
    const found = hash.hex();
    if (found !== sha256)
      throw new WeightFileError(
        { file: label },
        `its bytes have the SHA-256 ${found}, but the hub states ${sha256}. Nothing was kept: try again.`,
      );
  }
  await store?.write(0, bytes).catch((error: unknown) => options.onNotice?.(notKept(name, error)));
  return bufferSource(label, bytes);
}

async function openStore(
  cache: ModelCache | undefined,
  name: string,
  record: FileRecord,
  options: CachedFilesOptions,
): Promise<PieceStore | undefined> {
  try {
    return await cache?.openFile(record);
  } catch (error) {
    options.onNotice?.(notKept(name, error));
    return undefined;
  }
}
