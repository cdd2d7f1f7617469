import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseJson } from '@lapidary/gemma/model';
import { WeightFileError, WeightSourceError } from '../errors.js';
import type { ByteSource } from './byte-source.js';
import { fileSource } from './file-node.js';
import { fetchWithRetries, httpSource, type HttpOptions, isUnreachable, patienceOf, reason } from './http.js';
import { fetchHubListing, type HubListing, parseHubListing } from './hub-listing.js';
import type { HubFile, HubPlace } from './platform.js';
import { readInOrder } from './read-in-order.js';

/** Bytes of a download that are written at once. */
const writeBytes = 2 ** 20;
/** Bytes that are asked for at once of a file of several times as many. */
const defaultPieceBytes = 8 * 2 ** 20;

type CacheOptions = HttpOptions & {
  readonly cacheDir?: string;
  /** Default 8 MiB; smaller in tests. */
  readonly pieceBytes?: number;
};

function rootOf({ endpoint, id }: HubPlace, { cacheDir }: CacheOptions): string {
  const cache = cacheDir ?? join(homedir(), '.cache', 'lapidary');
  return join(cache, 'hub', safe(new URL(endpoint).host), safe(id));
}

/** What the hub says of a file before it sends it. */
interface HubEntry {
  readonly commit: string | undefined;
  readonly etag: string | undefined;
  /** Bytes. */
  readonly size: number | undefined;
}

const commitPattern = /^[0-9a-f]{40}$/;
/** The hub's etag of a large file is the SHA-256 of its bytes. */
const sha256Pattern = /^[0-9a-f]{64}$/;

/**
 * A hub file from the cache, downloaded first where it is not there yet. A broken download resumes where it stopped.
 * Files are kept by commit; without network, the commit seen last for a branch is used, and a file that was not there then is not.
 */
export async function openHubFile(file: HubFile, options: CacheOptions): Promise<ByteSource | undefined> {
  const root = rootOf(file, options);
  const pathAt = (commit: string) => join(root, safe(commit), ...file.file.split('/').map(safe));
  const reference = join(root, 'refs', safe(file.revision));
  const absent = join(root, 'absent', safe(file.revision), ...file.file.split('/').map(safe));
  const name = `${file.id}/${file.file}`;
  if (commitPattern.test(file.revision) && (await exists(pathAt(file.revision))))
    return fileSource(pathAt(file.revision), name);

  let entry: HubEntry | undefined;
  try {
    entry = await ask(file.url, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof WeightSourceError && error.status === 404) {
      await mkdir(dirname(absent), { recursive: true });
      await writeFile(absent, '');
      return undefined;
    }
    const known =
      error instanceof WeightSourceError &&
      error.status === undefined &&
      (await readFile(reference, 'utf8').catch(() => undefined));
    if (known && (await exists(pathAt(known)))) return fileSource(pathAt(known), name);
    if (known && (await exists(absent))) return undefined;
    throw error;
  }
  const commit = entry.commit ?? file.revision;
  const path = pathAt(commit);
  // Without a commit there is no telling whether the kept file is still the one on the hub.
  if (entry.commit === undefined || !(await exists(path))) await download(file.url, path, entry, options);
  if (entry.commit !== undefined) {
    await mkdir(dirname(reference), { recursive: true });
    await writeFile(reference, entry.commit);
  }
  return fileSource(path, name);
}

/** The names of a repository's files as the hub has them now; without network, as they were last seen. */
export async function listHubFiles(
  place: HubPlace,
  options: CacheOptions,
): Promise<{ readonly files?: readonly string[] }> {
  const kept = join(rootOf(place, options), 'listings', `${safe(place.revision)}.json`);
  const namesIn = (listing: HubListing | undefined) =>
    listing ? { files: listing.files.map(({ name }) => name) } : {};
  let listing: HubListing | undefined;
  try {
    listing = await fetchHubListing(place, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    const known = isUnreachable(error) && (await readFile(kept, 'utf8').catch(() => undefined));
    if (typeof known !== 'string') throw error;
    return namesIn(parseHubListing(parseJson(known)));
  }
  if (listing !== undefined) {
    await mkdir(dirname(kept), { recursive: true });
    await writeFile(kept, JSON.stringify(listing));
  }
  return namesIn(listing);
}

/** A file name that stays within its folder on every system. */
function safe(part: string): string {
  const name = part.replace(/[^\w.-]/g, '--');
  return /^\.+$/.test(name) ? '--' : name;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

async function ask(url: string, options: HttpOptions): Promise<HubEntry> {
  // The hub names commit and hash on its own answer, not on that of the storage it redirects to.
  const { headers } = await fetchWithRetries(url, { method: 'HEAD', redirect: 'manual' }, options);
  const etag = headers.get('x-linked-etag') ?? headers.get('etag');
  const commit = headers.get('x-repo-commit') ?? '';
  const size = Number(headers.get('x-linked-size') ?? headers.get('content-length') ?? Number.NaN);
  return {
    commit: commitPattern.test(commit) ? commit : undefined,
    etag: etag?.replace(/^W\/|"/g, ''),
    size: Number.isSafeInteger(size) ? size : undefined,
  };
}

/** Compressed answers cannot be resumed by byte. */
const identity = { 'Accept-Encoding': 'identity' } as const;
const kept = 'What has arrived is kept: the next attempt goes on from there.';

/** Fetches into `path.partial` and renames when the last byte is on disk. */
async function download(url: string, path: string, { etag, size }: HubEntry, options: CacheOptions): Promise<void> {
  const { retries = 4, pieceBytes = defaultPieceBytes } = options;
  const isLarge = size !== undefined && size > 2 * pieceBytes;
  const partial = `${path}.partial`;
  const label = `${partial}.etag`;
  await mkdir(dirname(path), { recursive: true });
  const startedFrom = await readFile(label, 'utf8').catch(() => undefined);
  if (etag === undefined || startedFrom !== etag) await rm(partial, { force: true });
  if (etag !== undefined) await writeFile(label, etag);

  const patience = patienceOf(options);
  for (let attempt = 0; ; attempt++) {
    try {
      if (!isLarge || !(await fetchRanges(url, partial, pieceBytes, options))) await fetchRest(url, partial, options);
      break;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof WeightSourceError) throw error;
      const stalled = patience.verdict(error);
      if (attempt >= retries || stalled !== undefined || isDiskError(error)) {
        throw new WeightSourceError(url, `the download broke off: ${reason(stalled ?? error)}. ${kept}`, {
          cause: error,
        });
      }
    }
  }
  if (etag !== undefined && sha256Pattern.test(etag)) await checkHash(partial, etag, url);
  await rename(partial, path);
  await rm(label, { force: true });
}

function isDiskError(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['ENOSPC', 'EACCES', 'EROFS', 'EDQUOT'].includes(String(error.code))
  );
}

/**
 * Fetches what is missing in ranges, several at a time, and writes them in their order: what is there is always the file's beginning.
 * @returns whether the server serves ranges
 */
async function fetchRanges(url: string, partial: string, pieceBytes: number, options: HttpOptions): Promise<boolean> {
  const headers = { ...options.headers, ...identity };
  const source = await httpSource(url, { ...options, headers }).catch((error: unknown) => {
    if (error instanceof WeightSourceError && error.status === 200) return undefined;
    throw error;
  });
  if (source === undefined) return false;
  const handle = await open(partial, 'a');
  try {
    const { size } = await handle.stat();
    const missing = Math.max(0, source.size - size);
    const ranges = Array.from({ length: Math.ceil(missing / pieceBytes) }, (_, i) => ({
      offset: size + i * pieceBytes,
      length: Math.min(pieceBytes, missing - i * pieceBytes),
    }));
    const reader = readInOrder(source, ranges, { window: pieceBytes, signal: options.signal });
    try {
      for (const _ of ranges) await handle.appendFile(await reader.next());
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof WeightSourceError) || error.status !== undefined) throw error;
      throw new WeightSourceError(url, `the download broke off: ${reason(error)} ${kept}`, { cause: error });
    } finally {
      await reader.close();
    }
    await handle.sync();
    return true;
  } finally {
    await handle.close();
  }
}

async function fetchRest(url: string, partial: string, options: HttpOptions): Promise<void> {
  const handle = await open(partial, 'a');
  try {
    const { size } = await handle.stat();
    const headers = { ...identity, ...(size > 0 && { Range: `bytes=${size}-` }) };
    const response = await fetchWithRetries(url, { headers }, options).catch((error: unknown) => {
      // Everything is there already: a range after the end.
      if (error instanceof WeightSourceError && error.status === 416 && size > 0) return undefined;
      throw error;
    });
    if (response === undefined) return;
    const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
    let expected = Number(response.headers.get('content-length') ?? Number.NaN);
    let written = 0;
    if (response.status === 206) {
      if (Number(range?.[1]) !== size)
        throw new WeightSourceError(url, 'the server answers with another range than asked for.');
      expected = Number(range?.[2]);
      written = size;
    } else if (size > 0) await handle.truncate(0);
    for await (const batch of batches(response.body ?? [])) {
      await handle.appendFile(batch);
      written += batch.length;
    }
    if (Number.isFinite(expected) && !response.headers.get('content-encoding') && written !== expected) {
      throw new Error(`${written} of ${expected} bytes arrived`);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Chunks together until they are worth a write: a file of gigabytes arrives in some hundred thousand. */
async function* batches(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  let broken: { readonly error: unknown } | undefined;
  try {
    for await (const chunk of chunks) {
      waiting.push(chunk);
      bytes += chunk.length;
      if (bytes < writeBytes) continue;
      yield Buffer.concat(waiting);
      [waiting, bytes] = [[], 0];
    }
  } catch (error) {
    broken = { error };
  }
  // Also what came before the connection broke: the next attempt goes on from there.
  if (bytes > 0) yield Buffer.concat(waiting);
  if (broken) throw broken.error;
}

async function checkHash(partial: string, expected: string, url: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(partial)) hash.update(chunk as Uint8Array);
  if (hash.digest('hex') === expected) return;
  await rm(partial, { force: true });
  throw new WeightFileError({ file: url }, 'the bytes that arrived do not have the SHA-256 the hub states. Try again.');
}
