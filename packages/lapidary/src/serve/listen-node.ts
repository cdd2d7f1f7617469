import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { UsageError } from '../usage-error.js';
import { createApp, type AppOptions } from './create-app.js';

/** A server that takes requests. */
export interface Listening {
  readonly url: string;
  /** Takes no more requests, and ends when all are answered. Those that are not within `patienceMs` are ended. */
  close(patienceMs: number): Promise<void>;
}

/** @throws UsageError where the address cannot be had */
export async function listen(
  options: Omit<AppOptions, 'signal'>,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Listening> {
  const ending = new AbortController();
  const app = createApp({ ...options, signal: ending.signal });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', ({ message }) =>
      reject(
        new UsageError({ message: `${host}:${port} cannot be listened on: ${message}.`, hint: 'See --port, --host.' }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    close: async (patienceMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const end = setTimeout(() => {
        ending.abort(new DOMException('the server stops', 'AbortError'));
        // What is still said goes out.
        setTimeout(() => server.closeAllConnections(), 500).unref();
      }, patienceMs);
      await closed;
      clearTimeout(end);
      ending.abort();
    },
  };
}
