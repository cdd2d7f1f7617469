/** A connection that brings less than this in the time that is waited for it is given up: in 30 s some 2 kB a second. */
const leastBytes = 64 * 1024;

/** A server that sends nothing, or next to nothing. */
export class StalledError extends Error {
  override readonly name = 'StalledError';
  /** How long it was waited for. */
  readonly ms: number;
  constructor(ms: number) {
    super(`the server sent nothing, or next to nothing, for ${ms / 1000} s`);
    this.ms = ms;
  }
}

/** How long is waited for a server in all: each attempt takes half of it, so that a connection that was lost is tried once more. */
export class Patience {
  readonly #mostMs: number;
  #waitedMs = 0;

  constructor(mostMs: number) {
    this.#mostMs = mostMs;
  }

  get attemptMs(): number {
    return this.#mostMs / 2;
  }

  /** What is left to say of an error: undefined where there is patience for another attempt. */
  verdict(error: unknown): unknown {
    if (!(error instanceof StalledError)) return undefined;
    this.#waitedMs += error.ms;
    return this.#waitedMs < this.#mostMs ? undefined : new StalledError(this.#waitedMs);
  }
}

/**
 * A request's answer whose body ends with an error where the server sends nothing, or next to nothing, for `idleMs`. Only time that is
 * spent waiting for it counts. `request` must give its signal to `fetch`.
 * @throws StalledError where the answer itself does not come
 */
export async function watchedResponse(
  request: (signal: AbortSignal) => Promise<Response>,
  idleMs: number,
  signal?: AbortSignal,
): Promise<Response> {
  const stop = new AbortController();
  const within = async <T>(ms: number, wait: () => Promise<T>): Promise<T> => {
    const silent = new StalledError(idleMs);
    const timer = setTimeout(() => stop.abort(silent), Math.max(0, ms));
    try {
      return await wait();
    } catch (error) {
      throw stop.signal.aborted ? silent : error;
    } finally {
      clearTimeout(timer);
    }
  };
  const response = await within(idleMs, () => request(signal ? AbortSignal.any([signal, stop.signal]) : stop.signal));
  if (response.body === null) return response;

  const reader = response.body.getReader();
  let waitedMs = 0;
  let bytes = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const began = performance.now();
      const { done, value } = await within(idleMs - waitedMs, () => reader.read());
      if (done) return controller.close();
      waitedMs += performance.now() - began;
      bytes += value.length;
      if (bytes >= leastBytes) [waitedMs, bytes] = [0, 0];
      return controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const { status, statusText, headers } = response;
  return new Response(body, { status, statusText, headers });
}

/** The bytes of a body; more than `most` are not taken. @throws Error saying so */
export async function bodyBytes(response: Response, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || value === undefined) break;
    length += value.length;
    if (length > most) {
      await reader?.cancel();
      throw new Error(`the server sent more than ${most} bytes`);
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
