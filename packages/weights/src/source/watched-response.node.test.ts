// Servers that say nothing, drip, or never end.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WeightSourceError } from '../errors.js';
import { fetchBytes, fetchRange, fetchText, httpSource } from './http.js';
import { modelWeightLoader } from '../loader/model-weight-loader.js';

const options = { idleMs: 300, retries: 1, retryDelayMs: 1 };
const block = Buffer.alloc(64 * 1024, 'x');

let server: Server;
let base: string;

const answers: Record<string, (response: ServerResponse) => unknown> = {
  silent: () => undefined,
  stopped: (response) => response.writeHead(200).write('{"a":'),
  dripping: (response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  },
  // Slow, but no slower than a telephone: a block comes before the time is over, again and again.
  slow: (response) => {
    response.writeHead(200);
    let count = 0;
    const timer = setInterval(() => {
      response.write(block);
      if (++count < 6) return;
      clearInterval(timer);
      response.end();
    }, 100);
  },
  endless: (response) => {
    response.writeHead(200);
    const more = () => {
      while (response.write(block));
    };
    response.on('drain', more);
    more();
  },
  'stopped-range': (response) => response.writeHead(206, { 'Content-Range': 'bytes 0-999/1000' }).write('x'),
  'dripping-range': (response) => {
    response.writeHead(206, { 'Content-Range': 'bytes 0-999/1000' });
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  },
  'endless-range': (response) => {
    response.writeHead(206, { 'Content-Range': 'bytes 0-9/100' });
    response.on('drain', () => response.write(block));
    response.write(block);
    response.write(block);
  },
};

beforeAll(async () => {
  server = createServer((request, response) => {
    const name = (request.url ?? '').split('/').pop() ?? '';
    answers[name.replace(/\.(json|gguf)$/, '')]?.(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe.each(['silent', 'stopped', 'dripping'])('a server that is %s', (name) => {
  it('is given up, after it was asked again', async () => {
    let requests = 0;
    const counted: typeof fetch = (...request) => {
      requests++;
      return fetch(...request);
    };
    const reading = fetchText(`${base}/${name}`, { ...options, fetch: counted });
    await expect(reading).rejects.toThrow(
      `${base}/${name}: could not be fetched: the server sent nothing, or next to nothing, for ${name === 'silent' ? 0.3 : 0.15} s`,
    );
    await expect(reading).rejects.toBeInstanceOf(WeightSourceError);
    // Once its answer has begun, a small file is not asked for again.
    expect(requests).toBe(name === 'silent' ? 2 : 1);
  });

  it('is given up after two attempts, however many it may have, by an error without secrets', async () => {
    let requests = 0;
    const counted: typeof fetch = (...request) => {
      requests++;
      return fetch(...request);
    };
    const url = `${base.replace('//', '//me:sesame@')}/${name}.gguf?X-Signature=open`;
    // Node's fetch takes no URL with a password in it.
    const plain: typeof fetch = (_, init) => counted(`${base}/${name === 'silent' ? name : `${name}-range`}`, init);
    const error = await fetchRange(url, { offset: 0, length: 1000 }, { ...options, retries: 20, fetch: plain }).catch(
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(WeightSourceError);
    expect(String(error)).toMatch(/next to nothing, for 0\.3 s/);
    expect(String(error)).toContain(`${base}/${name}.gguf`);
    expect(String(error)).not.toMatch(/sesame|open/);
    expect(requests).toBe(2);
  });

  it('hears of a signal first', async () => {
    const stop = new AbortController();
    const reading = fetchText(`${base}/${name}`, { ...options, idleMs: 60_000, signal: stop.signal });
    setTimeout(() => stop.abort(new Error('enough')), 50);
    await expect(reading).rejects.toThrow('enough');
  });
});

it('waits for a server that is slow', async () => {
  expect((await fetchBytes(`${base}/slow`, options))?.length).toBe(6 * block.length);
});

it('takes no more than a small file has of an endless one', async () => {
  await expect(fetchBytes(`${base}/endless`, options, 1e6)).rejects.toThrow(/the server sent more than 1000000 bytes/);
});

it('takes no more than a range has of an endless one', async () => {
  await expect(fetchRange(`${base}/endless-range`, { offset: 0, length: 10 }, options)).rejects.toThrow(
    /broke off: the server sent more than 10 bytes/,
  );
  await expect(httpSource(`${base}/silent`, options)).rejects.toBeInstanceOf(WeightSourceError);
});

it('gives up a model whose server is silent', async () => {
  await expect(modelWeightLoader({ from: `${base}/silent.gguf`, ...options }).open()).rejects.toThrow(
    /next to nothing/,
  );
});
