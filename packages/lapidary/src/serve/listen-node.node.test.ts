// What becomes of answers that are not waited for, or that have no end.
import { afterEach, expect, test, vi } from 'vitest';
import type { Answerer } from '../engine.js';
import { listen, type Listening } from './listen-node.js';

let open: Listening | undefined;
afterEach(() => open?.close(0));

/** A server whose answers go on until their signal ends them. */
async function endless(over: Partial<Answerer> = {}) {
  const counts = { begun: 0, ended: 0 };
  const errors: unknown[] = [];
  const answerer: Answerer = {
    adapters: [],
    maxLength: 64,
    ask: async () => ({
      promptTokens: 1,
      async *answer({ signal }) {
        counts.begun++;
        try {
          for (;;) {
            signal.throwIfAborted();
            yield 'x';
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        } finally {
          counts.ended++;
        }
      },
    }),
    close: async () => undefined,
    ...over,
  };
  open = await listen(
    {
      answerer,
      modelName: 'tiny',
      apiKey: undefined,
      isLocal: true,
      origins: [],
      largestBody: 1000,
      mostAnswers: 3,
      onError: (error) => errors.push(error),
    },
    { host: '127.0.0.1', port: 0 },
  );
  const { url } = open;
  const post = (body: object, signal: AbortSignal | null = null) =>
    fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', prompt: 'a', ...body }),
      signal,
    });
  return { counts, errors, post, server: open };
}

test.each([true, false])('a client that goes away ends its answers, streamed: %s', async (stream) => {
  const { counts, errors, post } = await endless();
  const gone = new AbortController();
  const asked = post({ stream, n: 2 }, gone.signal).then((response) => response.text());
  asked.catch(() => undefined);
  await vi.waitFor(() => expect(counts.begun).toBe(2));
  gone.abort();
  await expect(asked).rejects.toThrow();
  await vi.waitFor(() => expect(counts.ended).toBe(2));
  expect(errors).toEqual([]);
  // Their places are free again.
  const next = await post({ stream: true, n: 3 });
  expect(next.status).toBe(200);
  await next.body!.cancel();
});

test('more answers than may wait are refused, not kept', async () => {
  const { counts, post } = await endless();
  const first = await post({ stream: true, n: 2 });
  const refused = await post({ n: 2 });
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' } });
  expect(counts.begun).toBe(2);
  await first.body!.cancel();
});

test('a server that stops ends what has no end, and says so in the stream', async () => {
  const { counts, post, server } = await endless();
  const text = (await post({ stream: true })).text();
  await vi.waitFor(() => expect(counts.begun).toBe(1));
  await server.close(20);
  expect(await text).toMatch(/"finish_reason":null.*\n\ndata: \{"error":\{"message":"the server stops".*\n\n$/s);
  expect(counts.ended).toBe(1);
});

test('of a bug the client learns only that there is one; the server tells it', async () => {
  const bug = new TypeError('a secret of the house');
  const { errors, post } = await endless({ ask: () => Promise.reject(bug) });
  const response = await post({});
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('secret');
  expect(errors).toEqual([bug]);
});

test('an address that is taken is told of', async () => {
  const { server } = await endless();
  const port = Number(new URL(server.url).port);
  const options = { modelName: 'a', apiKey: undefined, isLocal: true, origins: [], largestBody: 1, mostAnswers: 1 };
  const answerer = { adapters: [], maxLength: 1, ask: () => Promise.reject(new Error()), close: async () => undefined };
  const second = listen({ ...options, answerer, onError: () => undefined }, { host: '127.0.0.1', port });
  await expect(second).rejects.toThrow(/cannot be listened on: .*EADDRINUSE/);
});
