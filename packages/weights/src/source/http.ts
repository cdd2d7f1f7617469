import { WeightFileError, WeightSourceError } from '../errors.js';
import { type ByteSource, checkRange, largestWhole, utf8Text } from './byte-source.js';
import { bodyBytes, Patience, watchedResponse } from './watched-response.js';

/** How a URL is read. */
export interface HttpOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Further attempts after a network error, 408, 429 or 5xx. Default 4. */
  readonly retries?: number;
  /** Wait before the first retry, doubled with each one. Default 500 ms. */
  readonly retryDelayMs?: number;
  /**
   * A server that sends nothing, or next to nothing (less than 64 KiB in half of this: 2 kB a second), for so long is given up, whatever
   * `retries` says: it is asked once more after half of it. Default 60,000 ms.
   */
  readonly idleMs?: number;
  readonly fetch?: typeof fetch;
}

/** For files that a browser keeps in its private file system, so that a later load needs no download. Without effect in Node. */
export interface DownloadOptions extends HttpOptions {
  /** Whether files from a hub or a URL are kept. Default true. */
  readonly cache?: boolean;
  /** Told once for each reason why something is not kept: the browser gives no more room, say. Reading goes on all the same. */
  readonly onNotice?: (message: string) => void;
}

/** A server that asks for a longer pause than this is not waited for. */
const longestWaitMs = 30_000;

/** `fetch` with retries where a retry can help. @throws {WeightSourceError} */
export async function fetchWithRetries(url: string, init: RequestInit, options: HttpOptions = {}): Promise<Response> {
  const { retries = 4, retryDelayMs = 500, signal } = options;
  const request = options.fetch ?? fetch;
  const patience = patienceOf(options);
  for (let attempt = 0; ; attempt++) {
    const last = attempt >= retries;
    let pause = retryDelayMs * 2 ** attempt;
    try {
      const headers = { ...options.headers, ...(init.headers as Record<string, string> | undefined) };
      const response = await watchedResponse(
        (stop) => request(url, { ...init, headers, signal: stop }),
        patience.attemptMs,
        signal,
      );
      if (response.status < 400) return response;
      const mayPass = response.status === 408 || response.status === 429 || response.status >= 500;
      if (last || !mayPass)
        throw new WeightSourceError(url, describe(response.status, url), { status: response.status });
      const asked = Number(response.headers.get('retry-after')) * 1000;
      if (asked > 0) pause = asked;
      await response.body?.cancel();
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof WeightSourceError) throw error;
      const stalled = patience.verdict(error);
      if (last || stalled !== undefined)
        throw new WeightSourceError(url, `could not be fetched: ${reason(stalled ?? error)}`, { cause: error });
    }
    await sleep(Math.min(pause, longestWaitMs), signal);
  }
}

export function patienceOf({ idleMs = 60_000 }: HttpOptions): Patience {
  return new Patience(idleMs);
}

export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

function describe(status: number, url: string): string {
  if (status === 401 || status === 403) {
    // On a hub: https://huggingface.co/owner/name/resolve/main/config.json, or …/api/models/owner/name/revision/main
    const [page, file] = url.replace(/\/api\/(?:models\/)?(.*)\/revision\//, '/$1/resolve/').split('/resolve/');
    if (file === undefined) return `the server answers ${status}: it does not let you read this.`;
    return (
      `the server answers ${status}: the ${url.includes('/datasets/') ? 'data set' : 'model'} is gated or private, or there is none of this name. Sign in and accept its licence on ` +
      `${page}, then set HF_TOKEN to an access token of yours (in code: \`token\`).`
    );
  }
  if (status === 404) return 'the server answers 404: there is no such file, model or revision.';
  return `the server answers ${status}.`;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** A whole small file, or undefined where the server says 404. @throws {WeightSourceError} also for more than `most` bytes, 64 MiB by default */
export async function fetchBytes(
  url: string,
  options: HttpOptions = {},
  most = largestWhole,
): Promise<Uint8Array | undefined> {
  let response: Response;
  try {
    response = await fetchWithRetries(url, {}, options);
  } catch (error) {
    if (error instanceof WeightSourceError && error.status === 404) return undefined;
    throw error;
  }
  try {
    return await bodyBytes(response, most);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new WeightSourceError(url, `could not be fetched: ${reason(error)}.`, { cause: error });
  }
}

/** A whole small file as text, or undefined where the server says 404. */
export async function fetchText(url: string, options: HttpOptions = {}): Promise<string | undefined> {
  const bytes = await fetchBytes(url, options);
  return bytes && utf8Text(bytes, url);
}

/** Whether no server answered at all. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof WeightSourceError && error.status === undefined;
}

/** The last part of a URL's path, as it is read: where it is no text that was encoded, as it stands. */
export function fileNameIn(url: string): string {
  const name = new URL(url).pathname.split('/').pop() ?? url;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Ranges beyond the one in use that are asked for at a time: one connection gives a fraction of what a network has, and browsers open six. */
export const rangesAhead = 5;

/** A URL read by HTTP ranges. @throws {WeightSourceError} where the server does not serve ranges. */
export async function httpSource(url: string, options: HttpOptions = {}): Promise<ByteSource> {
  const name = fileNameIn(url);
  const first = await fetchRange(url, { offset: 0, length: 1 }, options);
  const size = first.total;
  const source: ByteSource = {
    name,
    size,
    ahead: rangesAhead,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      if (length === 0) return new Uint8Array(0);
      const stop = eitherSignal(signal, options.signal);
      const part = await fetchRange(url, { offset, length, size }, { ...options, ...(stop && { signal: stop }) });
      if (part.etag !== first.etag)
        throw new WeightSourceError(url, 'the file changed on the server while it was read.');
      return part.bytes;
    },
  };
  return source;
}

/** What aborts as soon as one of the two does. */
export function eitherSignal(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a && b ? AbortSignal.any([a, b]) : (a ?? b);
}

/** The same; undefined where the server says 404. */
export async function httpSourceIfThere(url: string, options: HttpOptions): Promise<ByteSource | undefined> {
  try {
    return await httpSource(url, options);
  } catch (error) {
    if (error instanceof WeightSourceError && error.status === 404) return undefined;
    throw error;
  }
}

export interface Range {
  readonly offset: number;
  readonly length: number;
  /** Of the whole file, where it is known. */
  readonly size?: number;
}

export interface RangeAnswer {
  readonly bytes: Uint8Array;
  /** Bytes of the whole file. */
  readonly total: number;
  readonly etag: string | null;
  /** ETag or Last-Modified, where a page may see one. */
  readonly version: string | undefined;
}

/** Exactly these bytes of a file. @throws {WeightSourceError} @throws {WeightFileError} */
export async function fetchRange(
  url: string,
  { offset, length, size }: Range,
  options: HttpOptions,
  init: RequestInit = {},
): Promise<RangeAnswer> {
  const { retries = 4 } = options;
  const patience = patienceOf(options);
  for (let attempt = 0; ; attempt++) {
    const range = { Range: `bytes=${offset}-${offset + length - 1}` };
    const response = await fetchWithRetries(url, { ...init, headers: range }, options);
    const where = { file: url, offset };
    if (response.status !== 206) {
      await response.body?.cancel();
      throw new WeightSourceError(
        url,
        `the server ignores HTTP ranges (answers ${response.status} to one). Download the file and open it from disk.`,
        { status: response.status },
      );
    }
    const stated = response.headers.get('content-range');
    // A page sees the header only where the server exposes it. Then the length has to do.
    const total = stated === null && size !== undefined ? size : totalOf(stated, offset, length);
    if (total === undefined || (size ?? total) !== total) {
      await response.body?.cancel();
      throw new WeightFileError(
        where,
        `asked for ${length} bytes${size === undefined ? '' : ` of ${size}`}, ` +
          `the server answers with Content-Range ${stated ?? '(none)'}.`,
      );
    }
    try {
      const bytes = await bodyBytes(response, length);
      const etag = response.headers.get('etag');
      const version = etag ?? response.headers.get('last-modified') ?? undefined;
      if (bytes.length === length) return { bytes, total, etag, version };
      if (attempt >= retries) throw new WeightFileError(where, `${bytes.length} of ${length} bytes arrived.`);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof WeightFileError) throw error;
      const stalled = patience.verdict(error);
      if (attempt >= retries || stalled !== undefined)
        throw new WeightSourceError(url, `broke off: ${reason(stalled ?? error)}`, { cause: error });
    }
    await sleep(Math.min((options.retryDelayMs ?? 500) * 2 ** attempt, longestWaitMs), options.signal);
  }
}

/** What Content-Range says of the whole; undefined where it is about another range. */
function totalOf(stated: string | null, offset: number, length: number): number | undefined {
  const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(stated ?? '') ?? [];
  return Number(from) === offset && Number(to) === offset + length - 1 ? Number(total) : undefined;
}
