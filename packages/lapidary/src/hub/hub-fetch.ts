/** How long, and how often, a hub is asked. */
export interface HubPatience {
  /** A server that takes, or sends, nothing for so long is given up. Default 120,000 ms. */
  readonly idleMs?: number | undefined;
  /** Further attempts after a network error, 408, 429 or 5xx. Default 4. */
  readonly retries?: number | undefined;
  /** Wait before the first of them, doubled with each one. Default 500 ms. */
  readonly retryDelayMs?: number | undefined;
}

/** A server that asks for a longer pause than this is not waited for. */
const longestWaitMs = 30_000;

/**
 * `fetch` for the hub's library: with retries where one can help (all that a push asks may be asked twice), an end to waiting, and progress of
 * what is sent, where the library wants to know. Answers are small, and read whole.
 */
export function hubFetch(
  signal: AbortSignal,
  { idleMs = 120_000, retries = 4, retryDelayMs = 500 }: HubPatience = {},
): typeof fetch {
  const partsOf = new WeakMap<object, Map<number, number>>();
  return async (input, init = {}) => {
    const body = blobOf(init.body);
    for (let attempt = 0; ; attempt++) {
      const idle = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          idle.abort(new DOMException(`nothing came for ${idleMs / 1000} seconds.`, 'TimeoutError'));
        }, idleMs);
      };
      wait();
      const stop = AbortSignal.any([idle.signal, signal, ...(init.signal ? [init.signal] : [])]);
      const isLast = attempt >= retries;
      let pause = retryDelayMs * 2 ** attempt;
      try {
        const onSent = (share: number) => {
          wait();
          tell(init, share, partsOf);
        };
        const counted = body && { body: new CountedBlob(body, onSent) };
        const response = await fetch(input, { ...init, ...counted, signal: stop });
        const bytes = await response.arrayBuffer();
        const { status, statusText, headers } = response;
        const mayPass = status === 408 || status === 429 || status >= 500;
        if (isLast || !mayPass)
          return new Response(bytes.byteLength === 0 ? null : bytes, { status, statusText, headers });
        const asked = Number(headers.get('retry-after')) * 1000;
        if (asked > 0) pause = asked;
      } catch (error) {
        if (isLast || stop.aborted) throw stop.aborted ? stop.reason : error;
      } finally {
        clearTimeout(timer);
      }
      await sleep(Math.min(pause, longestWaitMs), signal);
    }
  };
}

/** What is sent, so that it can be sent again, and counted: a slow line is no silent server. */
function blobOf(body: RequestInit['body']): Blob | null {
  if (body === undefined || body === null) return null;
  if (body instanceof Blob) return body;
  if (typeof body === 'string' || body instanceof ArrayBuffer) return new Blob([body]);
  if (body instanceof Uint8Array) return new Blob([body as Uint8Array<ArrayBuffer>]);
  throw new TypeError(`A request to the hub has a body of another kind: ${body.constructor.name}.`);
}

/** What the library hands to `fetch` where it wants to know how much of a file, or of a part of it, is sent. */
interface ProgressHint {
  readonly progressCallback: (progress: number) => void;
  readonly part?: number;
  readonly numParts?: number;
}

function hintOf(init: RequestInit): ProgressHint | undefined {
  const { progressHint } = init as { readonly progressHint?: Partial<ProgressHint> };
  const { progressCallback } = progressHint ?? {};
  return typeof progressCallback === 'function' ? { ...progressHint, progressCallback } : undefined;
}

/** A file is done when the library says so: until then it is a little less. */
const almostDone = 0.999_999;

function tell(init: RequestInit, share: number, partsOf: WeakMap<object, Map<number, number>>): void {
  const hint = hintOf(init);
  if (hint === undefined) return;
  const { progressCallback, part = 0, numParts = 1 } = hint;
  const parts = partsOf.get(progressCallback) ?? new Map<number, number>();
  partsOf.set(progressCallback, parts.set(part, share));
  const done = [...parts.values()].reduce((sum, each) => sum + each, 0) / numParts;
  progressCallback(Math.min(almostDone, done));
}

/** A Blob that tells how much of it was read. */
class CountedBlob extends Blob {
  readonly #of: Blob;
  readonly #onRead: (share: number) => void;
  constructor(of: Blob, onRead: (share: number) => void) {
    super([], { type: of.type });
    this.#of = of;
    this.#onRead = onRead;
  }
  override get size(): number {
    return this.#of.size;
  }
  override stream(): ReturnType<Blob['stream']> {
    let read = 0;
    const count = (bytes: Uint8Array) => {
      read += bytes.byteLength;
      this.#onRead(read / this.size);
    };
    return this.#of.stream().pipeThrough(
      new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform(bytes, controller) {
          count(bytes);
          controller.enqueue(bytes);
        },
      }),
    );
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
