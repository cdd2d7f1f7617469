import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { createStandInHub } from '../testing/stand-in-hub-node.js';
import { hubFetch } from './hub-fetch.js';
import { openHubRepository, type HubAccess } from './open-hub-target.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
const { signal } = new AbortController();

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('what may pass is tried again, with the same bytes; what may not is answered at once', async () => {
  const bodies: string[] = [];
  const url = await serve((request, response) => {
    let text = '';
    request.on('data', (bytes) => (text += String(bytes)));
    request.on('end', () => {
      bodies.push(text);
      if (request.url === '/refused') response.writeHead(403).end('no');
      else if (bodies.length === 1) request.socket.destroy();
      else response.writeHead(bodies.length === 2 ? 503 : 200).end('fine');
    });
  });
  const patient = hubFetch(signal, { retryDelayMs: 1 });
  const response = await patient(url, { method: 'PUT', body: new Blob(['abc']) });
  expect([response.status, await response.text(), bodies]).toEqual([200, 'fine', ['abc', 'abc', 'abc']]);
  expect((await patient(`${url}/refused`)).status).toBe(403);
  expect(bodies).toHaveLength(4);
  const never = await serve((_, response) => response.writeHead(500).end());
  expect((await hubFetch(signal, { retries: 1, retryDelayMs: 1 })(never)).status).toBe(500);
});

test('a server that says nothing is given up, and a signal ends the wait with its reason', async () => {
  const silent = await serve(() => undefined);
  await expect(hubFetch(signal, { idleMs: 50 })(silent)).rejects.toMatchObject({ name: 'TimeoutError' });
  const half = await serve((_, response) => response.writeHead(200, { 'Content-Length': 10 }).write('{'));
  await expect(hubFetch(signal, { idleMs: 50 })(half)).rejects.toMatchObject({ name: 'TimeoutError' });
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('enough')), 20);
  await expect(hubFetch(controller.signal)(silent)).rejects.toThrow('enough');
});

async function pushing(
  options: Parameters<typeof createStandInHub>[0],
  access: Partial<HubAccess> = {},
  bytes = 1_000_000,
) {
  const hub = await createStandInHub(options);
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-parts-'));
  closing.push(hub.close, () => rm(folder, { recursive: true }));
  // Nothing that packs.
  const content = randomBytes(bytes);
  await writeFile(join(folder, 'model.gguf'), content);
  const repository = await openHubRepository(
    { repository: 'ada/large', isPrivate: false },
    { endpoint: hub.endpoint, token: 'hf_secretOfTheUser', signal, retryDelayMs: 1, ...access },
  );
  const shares: number[] = [];
  const push = (stop: AbortSignal = signal) =>
    repository.push(
      {
        files: new Map([['model.gguf', pathToFileURL(join(folder, 'model.gguf'))]]),
        facts: { title: 'large', kind: 'gguf', base: null, training: null },
        title: 'Upload',
      },
      {
        signal: stop,
        onProgress: ({ file, state, share }) =>
          void (file === 'model.gguf' && state === 'uploading' && shares.push(share)),
      },
    );
  return { hub, content, push, shares };
}

test.each([0, 300_000])(
  'a large file goes to storage in parts of %d bytes, and tells how far it is',
  async (partBytes) => {
    const { hub, content, push, shares } = await pushing({ partBytes });
    await push();
    expect(hub.repositories.get('ada/large')!.files.get('model.gguf')!.equals(content)).toBe(true);
    expect(shares.at(-1)).toBe(1);
    expect(shares.filter((share) => share > 0.1 && share < 0.9).length).toBeGreaterThan(2);
    expect([...shares].sort((a, b) => a - b)).toEqual(shares);
    // Storage that lies elsewhere never sees the token.
    const toStorage = hub.heard.filter(({ path }) => path.startsWith('/storage/'));
    expect(toStorage.map(({ authorization }) => authorization)).toEqual(toStorage.map(() => undefined));
    // What is there already is not sent again.
    await push();
    expect(hub.heard.filter(({ path }) => path.startsWith('/storage/'))).toHaveLength(toStorage.length);
  },
);

test("a large file goes to Xet's storage, of whose shards the hub knows it", async () => {
  const { hub, content, push, shares } = await pushing({ usesXet: true }, {}, 3_000_000);
  await push();
  expect(hub.repositories.get('ada/large')!.files.get('model.gguf')!.equals(content)).toBe(true);
  expect(shares.at(-1)).toBe(1);
  expect(
    hub.heard.filter(({ path }) => path.startsWith('/cas/')).map(({ authorization }) => authorization),
  ).not.toContain('Bearer hf_secretOfTheUser');
  expect(hub.heard.map(({ path }) => path)).toContain('/cas/v1/shards');
  const other = await pushing({ usesXet: true }, { retries: 0 });
  other.hub.state.own = ({ url }, response) => {
    if (!url!.startsWith('/cas/v1/shards')) return;
    response.writeHead(503).end();
    return true;
  };
  await expect(other.push()).rejects.toMatchObject({ name: 'HubPushError', status: 503 });
  expect(other.hub.repositories.get('ada/large')!.commits).toEqual([]);
});

test('storage that fails now and then is asked again; one that refuses, breaks off or is silent ends the push', async () => {
  const { hub, content, push } = await pushing({ partBytes: 300_000 });
  let failed = 0;
  hub.state.own = ({ url }, response) => {
    if (!url!.startsWith('/storage/') || failed++ > 2) return;
    response.writeHead(503).end();
    return true;
  };
  await push();
  expect(hub.repositories.get('ada/large')!.files.get('model.gguf')!.equals(content)).toBe(true);

  const other = await pushing({}, { retries: 0, idleMs: 1500 });
  const answers: [RegExp, (response: Parameters<RequestListener>[1]) => unknown][] = [
    [/answers 400/, (response) => response.writeHead(400).end('<Error>')],
    [/cannot be reached/, (response) => response.destroy()],
    [/took too long: nothing came for 1\.5 seconds/, () => undefined],
  ];
  for (const [message, answer] of answers) {
    other.hub.state.own = ({ url }, response) => {
      if (!url!.startsWith('/storage/')) return;
      answer(response);
      return true;
    };
    await expect(other.push()).rejects.toMatchObject({
      name: 'HubPushError',
      message: expect.stringMatching(message) as string,
    });
    expect(other.hub.repositories.get('ada/large')!.commits).toEqual([]);
  }
});

test('a signal ends a push with its reason', async () => {
  const { hub, push } = await pushing({});
  const controller = new AbortController();
  hub.state.own = ({ url }) => {
    if (!url!.startsWith('/storage/')) return;
    controller.abort(new Error('Ctrl-C'));
    return true;
  };
  await expect(push(controller.signal)).rejects.toThrow('Ctrl-C');
  expect(hub.repositories.get('ada/large')!.commits).toEqual([]);
});

test('a hub that is not there, or is none, is told as that', async () => {
  const access = { token: 'hf_x', signal, retries: 0 };
  const request = { repository: 'ada/x', isPrivate: false };
  const gone = await serve(() => undefined);
  await closing.pop()!();
  await expect(openHubRepository(request, { ...access, endpoint: gone })).rejects.toMatchObject({
    name: 'HubPushError',
    message: expect.stringMatching(/127\.0\.0\.1:\d+, or its storage, cannot be reached: .*ECONNREFUSED/) as string,
  });
  for (const text of ['<html>', '{}', 'null']) {
    const endpoint = await serve((_, response) => response.writeHead(200).end(text));
    await expect(openHubRepository(request, { ...access, endpoint })).rejects.toMatchObject({
      name: 'HubPushError',
      message: expect.stringMatching(/answered what is not understood/) as string,
    });
  }
});
