import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fixtureBytes } from '../../../../test/support/safetensors-fixture.js';
import { WeightFileError, WeightSourceError } from '../errors.js';
import { gemmaWeightLoader } from '../registry.js';
import { openHubFile } from './hub-cache-node.js';
import { httpSource } from './http.js';
import { openModelSource } from './model-source.js';

const commit = 'a'.repeat(40);
const weights = await fixtureBytes('models/gemma3-tiny/model.safetensors');
const config = await fixtureBytes('models/gemma3-tiny/config.json');
const sha256 = createHash('sha256').update(weights).digest('hex');
const retries = { retries: 2, retryDelayMs: 1 };

type Handler = (request: IncomingMessage, response: ServerResponse) => boolean;
let requests: { method: string; url: string; range: string | undefined; token: string | undefined }[];
/** Answers first; true where it has answered. */
let before: Handler;
let server: ReturnType<typeof createServer>;
let endpoint: string;
let cacheDir: string;

beforeEach(async () => {
  requests = [];
  before = () => false;
  cacheDir = mkdtempSync(join(tmpdir(), 'hub-test-'));
  server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, range: headers.range, token: headers.authorization });
    if (before(request, response)) return;
    const file = url.split('/').pop()?.split('?')[0];
    const body = file === 'model.safetensors' ? weights : file === 'config.json' ? config : undefined;
    if (body === undefined) return void response.writeHead(404).end();
    const etag = file === 'model.safetensors' ? sha256 : 'b'.repeat(40);
    const common = { 'X-Repo-Commit': commit, ETag: `"${etag}"` };
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
    if (range === null) return void response.writeHead(200, { ...common, 'Content-Length': body.length }).end(body);
    const start = Number(range[1]);
    if (start >= body.length) return void response.writeHead(416).end();
    const end = range[2] === '' ? body.length - 1 : Number(range[2]);
    response.writeHead(206, { ...common, 'Content-Range': `bytes ${start}-${end}/${body.length}` });
    response.end(body.subarray(start, end + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(cacheDir, { recursive: true, force: true });
});

const hub = () => ({ endpoint, cacheDir, token: 'secret', revision: 'v1', ...retries });
const gets = () => requests.filter(({ method, url }) => method === 'GET' && url.endsWith('safetensors'));

it('loads a model by its hub id, once', async () => {
  const open = async () => {
    const opened = await gemmaWeightLoader({ from: 'google/tiny', ...hub() }).open();
    await opened.close();
    return opened.entries.size;
  };
  expect(await open()).toBe(6 * 13 + 2);
  expect(gets()).toHaveLength(1);
  expect(requests[0]).toMatchObject({ url: '/google/tiny/resolve/v1/config.json', token: 'Bearer secret' });
  expect(await open()).toBe(6 * 13 + 2);
  expect(gets()).toHaveLength(1);
  // Without network, what is kept is used.
  before = (request) => {
    request.socket.destroy();
    return true;
  };
  const offline = await openModelSource('google/tiny', hub());
  expect(await offline.open('model.safetensors')).toMatchObject({
    size: weights.length,
    name: 'google/tiny/model.safetensors',
  });
  await offline.close();
  // Also that files were not there.
  expect(await open()).toBe(6 * 13 + 2);
  const never = await openModelSource('google/tiny', hub());
  await expect(never.open('never-asked-for.json')).rejects.toBeInstanceOf(WeightSourceError);
});

it('sends its token to no other host, and tells neither it nor a signature', async () => {
  const heard: (string | undefined)[] = [];
  const storage = createServer(({ headers }, response) => {
    heard.push(headers.authorization);
    response.writeHead(heard.length === 1 ? 403 : 404).end();
  });
  await new Promise<void>((resolve) => storage.listen(0, '127.0.0.1', resolve));
  const { port } = storage.address() as AddressInfo;
  before = ({ url = '', method }, response) => {
    if (method !== 'GET' || !url.endsWith('safetensors')) return false;
    response.writeHead(302, { Location: `http://localhost:${port}/blob?X-Amz-Signature=sesame` }).end();
    return true;
  };
  try {
    const source = await openModelSource('owner/name', { ...hub(), token: 'hf_abcdefghijklmnop' });
    for (const status of ['403', '404']) {
      const error = await source.open('model.safetensors').catch((reason: unknown) => reason);
      if (status === '403') expect(error).toBeInstanceOf(WeightSourceError);
      expect(`${String(error)} ${JSON.stringify(error)} ${(error as Error | undefined)?.stack}`).not.toMatch(
        /abcdefgh|sesame/,
      );
    }
  } finally {
    storage.closeAllConnections();
    storage.close();
  }
  expect(heard).toEqual([undefined, undefined]);
  expect(gets().map(({ token }) => token)).toEqual(Array(2).fill('Bearer hf_abcdefghijklmnop'));
});

it('goes on where a download broke off', async () => {
  const half = Math.floor(weights.length / 2);
  let broken = 0;
  before = ({ method, url, headers }, response) => {
    if (method !== 'GET' || !url?.endsWith('safetensors') || headers.range !== undefined || broken++ > 0) return false;
    response.writeHead(200, { 'Content-Length': weights.length });
    response.write(weights.subarray(0, half), () => setTimeout(() => response.destroy(), 50));
    return true;
  };
  const once = { ...hub(), retries: 0 };
  const model = await openModelSource('google/tiny', once);
  await expect(model.open('model.safetensors')).rejects.toThrow(/the download broke off.*goes on from there/);
  const source = await model.open('model.safetensors');
  expect(gets().at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/);
  expect(await source?.read(0, weights.length)).toEqual(weights);
  await model.close();
  const files = readdirSync(cacheDir, { recursive: true }).map(String);
  expect(files.filter((file) => file.includes('partial'))).toEqual([]);
  const kept = files.find((file) => file.endsWith('model.safetensors'));
  expect(new Uint8Array(readFileSync(join(cacheDir, kept!)))).toEqual(weights);
});

it('refuses bytes that are not those the hub states', async () => {
  before = ({ method, url }, response) => {
    if (method !== 'GET' || !url?.endsWith('safetensors')) return false;
    response.end(weights.slice().fill(0, 100, 200));
    return true;
  };
  const model = await openModelSource('google/tiny', hub());
  await expect(model.open('model.safetensors')).rejects.toThrow(/SHA-256/);
  expect(readdirSync(cacheDir, { recursive: true }).some((file) => String(file).endsWith('model.safetensors'))).toBe(
    false,
  );
});

it('retries what may pass, and says what will not', async () => {
  let failures = 2;
  before = (_, response) => {
    if (failures-- <= 0) return false;
    response.writeHead(503).end();
    return true;
  };
  const source = await httpSource(`${endpoint}/x/model.safetensors`, retries);
  expect(await source.read(10, 20)).toEqual(weights.slice(10, 30));
  failures = 1000;
  await expect(source.read(0, 8)).rejects.toMatchObject({ name: 'WeightSourceError', status: 503 });
  before = (_, response) => {
    response.writeHead(401).end();
    return true;
  };
  const count = requests.length;
  await expect(source.read(0, 8)).rejects.toThrow(/answers 401/);
  expect(requests.length).toBe(count + 1);
  await expect(gemmaWeightLoader({ from: 'google/tiny', ...hub() }).open()).rejects.toThrow(
    /answers 401.*accept its licence on http:\/\/[\d.:]+\/google\/tiny, then set HF_TOKEN.*`token`/,
  );
});

it('checks what a range brings', async () => {
  const url = `${endpoint}/x/model.safetensors`;
  const source = await httpSource(url, retries);
  await expect(source.read(weights.length - 4, 8)).rejects.toBeInstanceOf(WeightFileError);
  before = (_, response) => {
    response.writeHead(206, { 'Content-Range': `bytes 1-8/${weights.length}` }).end(weights.subarray(1, 9));
    return true;
  };
  await expect(source.read(0, 8)).rejects.toThrow(/Content-Range bytes 1-8/);
  before = (_, response) => {
    response
      .writeHead(206, { 'Content-Range': `bytes 0-7/${weights.length}`, ETag: '"new"' })
      .end(weights.subarray(0, 8));
    return true;
  };
  await expect(source.read(0, 8)).rejects.toThrow(/changed on the server/);
  before = (_, response) => {
    response.end(weights);
    return true;
  };
  await expect(httpSource(url, retries)).rejects.toThrow(/ignores HTTP ranges/);
});

it('says when a model is not there', async () => {
  await expect(gemmaWeightLoader({ from: 'google/tiny/other.gguf', ...hub() }).open()).rejects.toThrow(
    /no other\.gguf/,
  );
  server.closeAllConnections();
  await expect(
    gemmaWeightLoader({ from: 'a/b', ...hub(), endpoint: 'http://127.0.0.1:1', retries: 0 }).open(),
  ).rejects.toBeInstanceOf(WeightSourceError);
  expect(existsSync(join(cacheDir, 'hub', '127.0.0.1:1'))).toBe(false);
});

it('a large file comes in several ranges at once, written in their order; one that breaks off is asked for again', async () => {
  const file = { endpoint, id: 'google/tiny', revision: 'v1', file: 'model.safetensors' };
  const url = `${endpoint}/google/tiny/resolve/v1/model.safetensors`;
  const pieceBytes = 16 * 1024;
  const count = Math.ceil(weights.length / pieceBytes);
  const path = () => {
    const [found] = readdirSync(cacheDir, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /safetensors(\.partial)?$/.test(name),
    );
    return join(cacheDir, found!);
  };
  // Requests of an attempt that was given up may come late: each attempt asks by an address of its own.
  const open = (attempt: string, retriesEach: number) =>
    openHubFile({ ...file, url: `${url}?${attempt}` }, { cacheDir, pieceBytes, retries: retriesEach, retryDelayMs: 1 });
  let [most, broken] = [0, 0];
  // Answers wait until as many are asked for as will be, and a moment more for one that must not be.
  let waiting: (() => void)[] = [];
  let timer: ReturnType<typeof setTimeout>;
  const answerAll = () => {
    const ready = waiting;
    waiting = [];
    for (const answer of ready) answer();
  };
  let breaks = (offset: number) => offset >= 5 * pieceBytes;
  before = ({ headers, method }, response) => {
    const [, first] = /^bytes=(\d+)-/.exec(headers.range ?? '') ?? [];
    if (method !== 'GET' || first === undefined || Number(first) === 0) return false;
    if (breaks(Number(first))) {
      broken++;
      response.socket?.destroy();
      return true;
    }
    const answer = () => {
      const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '')!.map(Number) as [number, number, number];
      response.writeHead(206, { ETag: `"${sha256}"`, 'Content-Range': `bytes ${start}-${end}/${weights.length}` });
      response.end(weights.subarray(start, end + 1));
    };
    waiting.push(answer);
    response.on('close', () => (waiting = waiting.filter((each) => each !== answer)));
    most = Math.max(most, waiting.length);
    clearTimeout(timer);
    timer = setTimeout(answerAll, waiting.length < 6 ? 500 : 50);
    return true;
  };
  await expect(open('first', 1)).rejects.toThrow(/the download broke off: .*What has arrived is kept/);
  expect(broken).toBeGreaterThan(0);
  // What is there is the file's beginning.
  expect(readFileSync(path())).toEqual(Buffer.from(weights.subarray(0, 5 * pieceBytes)));

  const failed = new Set<number>();
  breaks = (offset) => offset % (3 * pieceBytes) === 0 && !failed.has(offset) && failed.add(offset).size > 0;
  const source = (await open('second', 2))!;
  await source.close?.();
  expect(readFileSync(path())).toEqual(Buffer.from(weights));
  expect(most).toBe(6);
  expect(failed.size).toBeGreaterThan(0);
  // A byte that tells what the server has, then what was missing, each range once, and again only those that broke off.
  const starts = requests
    .filter(({ method, url: asked }) => method === 'GET' && asked.endsWith('?second'))
    .map(({ range }) => Number(/^bytes=(\d+)-/.exec(range!)![1]))
    .filter((start) => start > 0);
  expect(new Set(starts)).toEqual(new Set(Array.from({ length: count - 5 }, (_, i) => (i + 5) * pieceBytes)));
  const again = starts.filter((start, i, all) => all.indexOf(start) !== i);
  expect(new Set(again)).toEqual(failed);
});

it('from a server that serves no ranges it comes as a whole', async () => {
  const file = { endpoint, id: 'google/tiny', revision: 'v1', file: 'model.safetensors' };
  const url = `${endpoint}/google/tiny/resolve/v1/model.safetensors`;
  before = ({ method }, response) => {
    if (method !== 'GET') return false;
    response.writeHead(200, { 'X-Repo-Commit': commit, 'Content-Length': weights.length }).end(weights);
    return true;
  };
  const source = (await openHubFile({ ...file, url }, { cacheDir, pieceBytes: 4096, ...retries }))!;
  expect(await source.read(0, source.size)).toEqual(weights);
  await source.close?.();
});
