// Weights that are read through the browser's private file system. The server is a function in place of `fetch`.
import {
  bufferSource,
  listCachedWeights,
  modelWeightLoader,
  type OpenedWeights,
  openModelSource,
  removeCachedWeights,
} from '@lapidary/weights';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { openCachedHub, openCachedUrl } from '../../packages/weights/src/source/cached-files.js';
import { tableFiles, tableTensors } from '../support/host-table.js';
import { pebble } from '../support/pebble-family.js';
import { fixtureBytes } from '../support/safetensors-fixture.js';

const pieceBytes = 1000;
const endpoint = 'https://hub.test';
const place = { endpoint, id: 'google/tiny', revision: 'main' };
const quick = { retries: 1, retryDelayMs: 1, pieceBytes };

const noise = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i + seed, 2654435761) >>> 13) & 255);
const hex = (buffer: ArrayBuffer) =>
  [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const sha256 = async (bytes: Uint8Array) =>
  hex(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));

interface Served {
  bytes: Uint8Array;
  /** As the hub states it. */
  sha256?: string;
  headers?: Record<string, string>;
}

/** A hub, and a server of plain URLs. */
class Server {
  commit = 'a'.repeat(40);
  hasApi = true;
  isOffline = false;
  readonly files = new Map<string, Served>();
  /** Of the API. */
  questions = 0;
  /** Of files: `name` or `name 0-999`. */
  requests: string[] = [];
  /** Changes an answer, or gives another. */
  intercept:
    | ((request: string, bytes: Uint8Array, signal?: AbortSignal | null) => BodyInit | Promise<BodyInit>)
    | undefined;

  async add(name: string, bytes: Uint8Array): Promise<void> {
    this.files.set(name, { bytes, sha256: await sha256(bytes) });
  }

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const { pathname } = new URL(String(input));
    if (this.isOffline) throw new TypeError('Failed to fetch');
    if (pathname.startsWith('/api/')) {
      this.questions++;
      if (!this.hasApi) return new Response('no', { status: 404 });
      expect(pathname).toMatch(/^\/api\/models\/google\/tiny\/revision\/[\w.-]+$/);
      const siblings = [...this.files].map(([rfilename, { bytes, sha256 }]) => ({
        rfilename,
        size: bytes.length,
        ...(sha256 && { lfs: { sha256, size: bytes.length } }),
      }));
      return Response.json({ sha: this.commit, siblings });
    }
    const name = pathname.replace(/^\/google\/tiny\/resolve\/[^/]+\//, '').replace(/^\//, '');
    const file = this.files.get(name);
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '');
    const request = range ? `${name} ${range[1]}-${range[2]}` : name;
    this.requests.push(request);
    if (file === undefined) return new Response('no', { status: 404 });
    const [from, to] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, file.bytes.length];
    let body: BodyInit = file.bytes.slice(from, to);
    if (this.intercept) body = await this.intercept(request, body as Uint8Array, init?.signal);
    const headers = {
      ...file.headers,
      ...(range && { 'content-range': `bytes ${from}-${to - 1}/${file.bytes.length}` }),
    };
    return new Response(body, { status: range ? 206 : 200, headers });
  };

  /** What was asked since the last call. */
  asked(): string[] {
    return this.requests.splice(0);
  }
}

let server: Server;
let notices: string[];
beforeEach(async () => {
  server = new Server();
  notices = [];
  await removeCachedWeights();
});
afterEach(() => removeCachedWeights());

const options = () => ({ ...quick, fetch: server.fetch, onNotice: (notice: string) => void notices.push(notice) });
const openHub = () => openCachedHub(place, options());
async function openFile(file = 'model.safetensors') {
  const source = await (await openHub()).open(file);
  if (source === undefined) throw new Error(`${file} is not there`);
  return source;
}
const pieces = (name: string, size: number, indices: number[]) =>
  indices.map((i) => `${name} ${i * pieceBytes}-${Math.min((i + 1) * pieceBytes, size) - 1}`);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

it('reads through, keeps what was read, and needs no bytes from then on', async () => {
  const bytes = noise(4321, 1);
  await server.add('model.safetensors', bytes);
  const source = await openFile();
  expect(server.asked()).toEqual([]);
  expect(source.size).toBe(4321);
  // The header alone: one piece.
  expect(await source.read(0, 8)).toEqual(bytes.slice(0, 8));
  expect(await source.read(8, 500)).toEqual(bytes.slice(8, 508));
  expect(server.asked()).toEqual(pieces('model.safetensors', 4321, [0]));
  for (let at = 508; at < 4321; at += 700)
    expect(await source.read(at, Math.min(700, 4321 - at))).toEqual(bytes.slice(at, at + 700));
  await source.verify?.();
  expect(server.asked().sort()).toEqual(pieces('model.safetensors', 4321, [1, 2, 3, 4]));
  await source.close?.();

  const again = await openFile();
  expect(await again.read(0, 4321)).toEqual(bytes);
  expect(await again.read(998, 4)).toEqual(bytes.slice(998, 1002));
  await again.verify?.();
  await again.close?.();
  expect(server.asked()).toEqual([]);
  expect(server.questions).toBe(2);
  expect(notices).toEqual([]);
});

it('hands out bytes that the caller may change', async () => {
  const bytes = noise(900, 2);
  await server.add('model.safetensors', bytes);
  const source = await openFile();
  (await source.read(0, 900)).fill(0);
  expect(await source.read(0, 900)).toEqual(bytes);
  await source.close?.();
  expect(await (await openFile()).read(0, 900)).toEqual(bytes);
});

it('fetches headers that lie scattered by themselves, and their pieces when the load is done', async () => {
  const bytes = noise(20_000, 3);
  await server.add('model.npz', bytes);
  const source = await openFile('model.npz');
  expect(await source.read(19_950, 50)).toEqual(bytes.slice(19_950));
  expect(await source.read(10_010, 60)).toEqual(bytes.slice(10_010, 10_070));
  expect(server.asked()).toEqual(['model.npz 19950-19999', 'model.npz 10010-10069']);
  await source.read(0, 5000);
  await source.verify?.();
  await source.close?.();
  expect(await listCachedWeights()).toEqual([
    { name: 'https://hub.test/google/tiny@main', bytes: 20_000, totalBytes: 20_000, isWhole: true },
  ]);
});

it('goes on where it was interrupted', async () => {
  const bytes = noise(10_000, 4);
  await server.add('model.safetensors', bytes);
  const isFrom = (request: string, piece: number) => Number(/ (\d+)-/.exec(request)?.[1]) >= piece * pieceBytes;
  server.intercept = (request, body) => {
    if (!isFrom(request, 4)) return body as Uint8Array<ArrayBuffer>;
    let sent = false;
    return new ReadableStream({
      pull(controller) {
        if (sent) controller.error(new TypeError('network lost'));
        else controller.enqueue(body.subarray(0, 400));
        sent = true;
      },
    });
  };
  const source = await openFile();
  await expect(source.read(0, 10_000)).rejects.toMatchObject({ name: 'WeightSourceError' });
  await source.close?.();
  expect((await listCachedWeights())[0]).toMatchObject({ bytes: 4000, totalBytes: 10_000, isWhole: false });
  server.asked();

  server.intercept = undefined;
  const again = await openFile();
  expect(await again.read(0, 10_000)).toEqual(bytes);
  await again.verify?.();
  expect(server.asked().sort()).toEqual(pieces('model.safetensors', 10_000, [4, 5, 6, 7, 8, 9]));
  await again.close?.();
});

it('tries a piece again that came cut short', async () => {
  const bytes = noise(3000, 5);
  await server.add('model.safetensors', bytes);
  let cuts = 1;
  server.intercept = (_, body) => body.slice(0, cuts-- > 0 ? 10 : undefined) as Uint8Array<ArrayBuffer>;
  const source = await openFile();
  expect(await source.read(0, 3000)).toEqual(bytes);
  await source.verify?.();
});

it.each(['read in order', 'read in part'])('catches a byte that is wrong: %s', async (how) => {
  const bytes = noise(5000, 6);
  await server.add('model.safetensors', bytes);
  server.intercept = (request, body) => {
    if (request.includes(' 2000-')) body[7]! ^= 1;
    return body as Uint8Array<ArrayBuffer>;
  };
  const source = await openFile();
  await source.read(0, how === 'read in order' ? 5000 : 900);
  const error = await source.verify?.().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'WeightFileError', file: 'google/tiny/model.safetensors' });
  const wrong = bytes.slice();
  wrong[2007]! ^= 1;
  expect(String(error)).toContain(await sha256(bytes));
  expect(String(error)).toContain(await sha256(wrong));
  expect(String(error)).toContain('was removed: try again');
  expect((await listCachedWeights())[0]).toMatchObject({ bytes: 0 });

  server.intercept = undefined;
  server.asked();
  for (const retry of [source, await openFile()]) {
    expect(await retry.read(0, 5000)).toEqual(bytes);
    await retry.verify?.();
    await retry.close?.();
  }
  expect(server.asked().sort()).toEqual(pieces('model.safetensors', 5000, upTo(5)));
});

it('verifies anew when a piece of a verified file has gone', async () => {
  const bytes = noise(5000, 7);
  await server.add('model.safetensors', bytes);
  const source = await openFile();
  await source.read(0, 5000);
  await source.verify?.();
  await source.close?.();
  await removePiece('model.safetensors', '3');
  server.intercept = (_, body) => body.fill(0) as Uint8Array<ArrayBuffer>;
  const again = await openFile();
  await again.read(0, 5000);
  // The tab is closed before the end of the load: the next one must not trust what is there.
  await again.close?.();
  const third = await openFile();
  await third.read(0, 5000);
  await expect(third.verify?.()).rejects.toThrow(/SHA-256/);
});

async function removePiece(file: string, piece: string): Promise<void> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('lapidary-weights');
  for await (const model of root.values()) {
    for await (const folder of (model as FileSystemDirectoryHandle).values()) {
      if (folder.kind === 'directory' && folder.name.startsWith(file))
        await (folder as FileSystemDirectoryHandle).removeEntry(piece);
    }
  }
}

it('takes the new bytes of a new commit, and no more than have changed', async () => {
  const kept = noise(2500, 8);
  await server.add('a.safetensors', kept);
  await server.add('b.safetensors', noise(2500, 9));
  server.files.set('config.json', { bytes: new TextEncoder().encode('{"old":1}') });
  const readAll = async () => {
    const hub = await openHub();
    const all: Uint8Array[] = [];
    for (const file of hub.files ?? []) {
      const source = await hub.open(file);
      all.push(await source!.read(0, source!.size));
      await source!.verify?.();
      await source!.close?.();
    }
    return all;
  };
  await readAll();
  server.asked();
  const changed = noise(2600, 10);
  server.commit = 'b'.repeat(40);
  await server.add('b.safetensors', changed);
  server.files.set('config.json', { bytes: new TextEncoder().encode('{"new":1}') });
  expect(await readAll()).toEqual([kept, changed, new TextEncoder().encode('{"new":1}')]);
  expect(server.asked().sort()).toEqual([...pieces('b.safetensors', 2600, [0, 1, 2]), 'config.json']);
  // What was replaced takes no room.
  expect((await listCachedWeights())[0]).toMatchObject({ bytes: 2500 + 2600 + 9, isWhole: true });
});

it('checks and keeps small files whole', async () => {
  const text = new TextEncoder().encode('{"version":"1.0"}');
  await server.add('tokenizer.json', text);
  server.intercept = () => new TextEncoder().encode('{"version":"1.1"}');
  await expect((await openHub()).open('tokenizer.json')).rejects.toThrow(/SHA-256 .*Nothing was kept/);
  server.intercept = () => new TextEncoder().encode('{}');
  await expect((await openHub()).open('tokenizer.json')).rejects.toThrow(/2 bytes arrived, but the hub states 17/);
  server.intercept = undefined;
  server.asked();
  for (let i = 0; i < 2; i++) {
    const source = await openFile('tokenizer.json');
    expect(await source.read(0, source.size)).toEqual(text);
  }
  expect(server.asked()).toEqual(['tokenizer.json']);
  // What the hub does not list is not asked for.
  expect(await (await openHub()).open('chat_template.jinja')).toBeUndefined();
  expect(server.asked()).toEqual([]);
});

it('works without network from what is kept', async () => {
  const bytes = noise(3000, 11);
  await server.add('model.safetensors', bytes);
  await server.add('config.json', noise(20, 12));
  server.isOffline = true;
  await expect(openHub()).rejects.toMatchObject({ name: 'WeightSourceError' });
  server.isOffline = false;
  const source = await openFile();
  await source.read(0, 900);
  await source.close?.();
  server.isOffline = true;
  const again = await openFile();
  expect(await again.read(0, 1000)).toEqual(bytes.slice(0, 1000));
  await expect(again.read(1000, 1000)).rejects.toMatchObject({ name: 'WeightSourceError' });
  await expect((await openHub()).open('config.json')).rejects.toMatchObject({ name: 'WeightSourceError' });
});

it('reads by ranges, by ETag, where a mirror lists nothing', async () => {
  server.hasApi = false;
  const bytes = noise(2500, 13);
  server.files.set('model.safetensors', { bytes, headers: { etag: '"1"' } });
  server.files.set('config.json', { bytes: new TextEncoder().encode('{}') });
  const hub = await openHub();
  expect(hub.files).toBeUndefined();
  expect(await hub.open('other.json')).toBeUndefined();
  expect(await hub.open('other.gguf')).toBeUndefined();
  const config = await hub.open('config.json');
  expect(await config!.read(0, 2)).toEqual(new TextEncoder().encode('{}'));
  const source = await hub.open('model.safetensors');
  expect(await source!.read(0, 2500)).toEqual(bytes);
  await source!.close?.();
  server.asked();
  expect(await (await openFile()).read(0, 2500)).toEqual(bytes);
  expect(server.asked()).toEqual(['model.safetensors 0-0']);
});

it('keeps a URL by its ETag or Last-Modified, and not without', async () => {
  const url = 'https://files.test/models/tiny.gguf?signature=1';
  const open = async (signature = 1) => (await openCachedUrl(url.replace('1', `${signature}`), url, options()))!;
  const old = noise(2500, 14);
  const name = 'models/tiny.gguf';
  const probe = `${name} 0-0`;
  server.files.set(name, { bytes: old, headers: { etag: '"1"' } });
  const first = await open();
  expect(await first.read(0, 2500)).toEqual(old);
  await first.close?.();
  server.asked();
  // A signature that changes is the same file; without network it is what it was.
  expect(await (await open(2)).read(0, 2500)).toEqual(old);
  expect(server.asked()).toEqual([probe]);
  server.isOffline = true;
  expect(await (await open()).read(0, 2500)).toEqual(old);
  server.isOffline = false;

  const opened = await open();
  await removePiece('models-tiny.gguf', '2').catch(() => undefined);
  await removePiece('-models-tiny.gguf', '2').catch(() => undefined);
  const changed = noise(2500, 15);
  server.files.set(name, { bytes: changed, headers: { 'last-modified': 'Tue, 01 Jul 2025 10:00:00 GMT' } });
  await expect(opened.read(0, 2500)).rejects.toThrow(/changed on the server/);
  const second = await open();
  expect(await second.read(0, 2500)).toEqual(changed);
  await second.close?.();
  server.asked();
  expect(await (await open()).read(0, 2500)).toEqual(changed);
  expect(server.asked()).toEqual([probe]);
  expect(await listCachedWeights()).toEqual([
    { name: 'https://files.test/models/tiny.gguf', bytes: 2500, totalBytes: 2500, isWhole: true },
  ]);
  expect(notices).toEqual([]);

  server.files.set(name, { bytes: old });
  for (let i = 0; i < 2; i++) {
    server.asked();
    const source = await open();
    expect(await source.read(0, 2500)).toEqual(old);
    await source.close?.();
    expect(server.asked().sort()).toEqual([probe, ...pieces(name, 2500, [0, 1, 2])].sort());
  }
  expect(notices[0]).toMatch(/tiny\.gguf are not kept.*no ETag and no Last-Modified/);
});

it('goes on without the cache when there is no room, and says so once', async () => {
  const bytes = noise(6000, 16);
  await server.add('model.safetensors', bytes);
  const createWritable = FileSystemFileHandle.prototype.createWritable;
  onTestFinished(() => {
    FileSystemFileHandle.prototype.createWritable = createWritable;
  });
  let writes = 0;
  FileSystemFileHandle.prototype.createWritable = function (this: FileSystemFileHandle) {
    // Two pieces fit.
    if (/^\d+$/.test(this.name) && ++writes > 2) throw new DOMException('full', 'QuotaExceededError');
    return createWritable.call(this);
  };
  const model = await openModelSource('google/tiny', { ...options(), endpoint });
  const source = (await model.open('model.safetensors'))!;
  expect(await source.read(0, 6000)).toEqual(bytes);
  await source.verify?.();
  await model.close();
  const small = await openFile();
  expect(await small.read(0, 6000)).toEqual(bytes);
  await small.verify?.();
  await small.close?.();
  expect(notices.length).toBe(2); // one for each opening
  expect(notices[0]).toMatch(/weights of .*google\/tiny@main are not kept .*no more room.*removeCachedWeights/);
});

it('goes on where there is no private file system, and still checks the hash', async () => {
  const bytes = noise(3000, 17);
  await server.add('model.safetensors', bytes);
  const { getDirectory } = StorageManager.prototype;
  onTestFinished(() => {
    StorageManager.prototype.getDirectory = getDirectory;
  });
  StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('not here', 'SecurityError'));
  const source = await openFile();
  expect(await source.read(0, 3000)).toEqual(bytes);
  await source.verify?.();
  expect(server.asked().sort()).toEqual(pieces('model.safetensors', 3000, [0, 1, 2]));
  expect(notices).toEqual([expect.stringMatching(/does not let the page keep files \(not here\)/)]);
  expect(await listCachedWeights()).toEqual([]);
  await removeCachedWeights();
  server.intercept = (_, body) => body.fill(1) as Uint8Array<ArrayBuffer>;
  const corrupt = await openFile();
  await corrupt.read(0, 3000);
  await expect(corrupt.verify?.()).rejects.toThrow(/SHA-256/);
});

it('fetches a piece once for several readers, and gives up only what nobody waits for', async () => {
  const bytes = noise(5000, 18);
  await server.add('model.safetensors', bytes);
  let release = () => {};
  let aborted = 0;
  server.intercept = (_, body, signal) =>
    new Promise((resolve, reject) => {
      const before = release;
      release = () => {
        before();
        resolve(body as Uint8Array<ArrayBuffer>);
      };
      signal?.addEventListener('abort', () => {
        aborted++;
        reject(signal.reason);
      });
    });
  const source = await openFile();
  const stop = new AbortController();
  const first = source.read(100, 500, stop.signal);
  const second = source.read(300, 600);
  await until(() => server.requests.length > 0);
  stop.abort(new Error('enough'));
  await expect(first).rejects.toThrow('enough');
  release();
  expect(await second).toEqual(bytes.slice(300, 900));
  expect(server.asked()).toEqual(pieces('model.safetensors', 5000, [0]));
  expect(aborted).toBe(0);

  const alone = new AbortController();
  const third = source.read(1000, 1000, alone.signal);
  await until(() => server.requests.length === 4); // with those ahead
  alone.abort(new Error('stop'));
  await expect(third).rejects.toThrow('stop');
  await until(() => aborted === 4);
  server.intercept = undefined;
  const [a, b] = await Promise.all([source.read(0, 5000), source.read(0, 5000)]);
  expect([a, b]).toEqual([bytes, bytes]);
  await source.verify?.();
  expect(new Set(server.requests.slice(4)).size).toBe(server.requests.length - 4);
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

it('lets two tabs load the same file at the same time', async () => {
  const bytes = noise(8000, 23);
  await server.add('model.safetensors', bytes);
  const tabs = await Promise.all([openFile(), openFile()]);
  const read = await Promise.all(
    tabs.map(async (tab) => {
      const all = await tab.read(0, 8000);
      await tab.verify?.();
      await tab.close?.();
      return all;
    }),
  );
  expect(read).toEqual([bytes, bytes]);
  expect((await listCachedWeights())[0]).toMatchObject({ bytes: 8000, isWhole: true });
  expect(notices).toEqual([]);
});

it('keeps whole what is written slowly while much else is read', async () => {
  const bytes = noise(12_000, 22);
  await server.add('model.safetensors', bytes);
  const createWritable = FileSystemFileHandle.prototype.createWritable;
  onTestFinished(() => {
    FileSystemFileHandle.prototype.createWritable = createWritable;
  });
  FileSystemFileHandle.prototype.createWritable = async function (this: FileSystemFileHandle) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    return createWritable.call(this);
  };
  const source = await openFile();
  const read = await Promise.all(upTo(12).map((i) => source.read(i * 1000, 1000)));
  expect(read).toEqual(upTo(12).map((i) => bytes.slice(i * 1000, (i + 1) * 1000)));
  await source.verify?.();
  await source.close?.();
  server.asked();
  expect(await (await openFile()).read(0, 12_000)).toEqual(bytes);
  expect(server.asked()).toEqual([]);
  expect(notices).toEqual([]);
});

it('lists and removes by name', async () => {
  await server.add('model.safetensors', noise(1500, 19));
  for (const id of ['google/one', 'google/two']) {
    const fetchOne: typeof fetch = (url, init) => server.fetch(String(url).replace(id, 'google/tiny'), init);
    const hub = await openCachedHub(
      { endpoint: 'https://huggingface.co', id, revision: 'main' },
      { ...options(), fetch: fetchOne },
    );
    const source = await hub.open('model.safetensors');
    await source!.read(0, id === 'google/one' ? 1500 : 10);
    await source!.close?.();
  }
  const one = { name: 'google/one@main', bytes: 1500, totalBytes: 1500, isWhole: true };
  const two = { name: 'google/two@main', bytes: 1000, totalBytes: 1500, isWhole: false };
  expect(await listCachedWeights()).toEqual([one, two]);
  await removeCachedWeights('google/three@main');
  await removeCachedWeights('google/two@main');
  expect(await listCachedWeights()).toEqual([one]);
  await removeCachedWeights();
  expect(await listCachedWeights()).toEqual([]);
});

it('does without the cache when asked to', async () => {
  const bytes = noise(1500, 20);
  await server.add('model.safetensors', bytes);
  const hub = await openCachedHub(place, { ...options(), cache: false });
  const source = await hub.open('model.safetensors');
  expect(await source!.read(5, 1000)).toEqual(bytes.slice(5, 1005));
  expect(await listCachedWeights()).toEqual([]);
});

const files = ['config.json', 'generation_config.json', 'model.safetensors'];
const model = await Promise.all(files.map((file) => fixtureBytes(`models/gemma3-tiny/${file}`)));

async function loadAll(weights: OpenedWeights): Promise<Map<string, Uint8Array>> {
  const loaded = new Map<string, Uint8Array>();
  const write = (path: string, at: number, bytes: Uint8Array) => {
    const whole = new Uint8Array(at + bytes.length);
    whole.set(loaded.get(path) ?? []);
    whole.set(bytes, at);
    loaded.set(path, whole);
  };
  await weights.load(weights.entries, { write });
  await weights.close();
  return loaded;
}

it('loads a model by its hub id, then without a byte from the network, then without network', async () => {
  for (const [i, file] of files.entries()) await server.add(file, model[i]!);
  const expected = await loadAll(
    await modelWeightLoader({ from: files.map((file, i) => bufferSource(file, model[i]!)) }).open(),
  );
  const open = () =>
    modelWeightLoader({ from: 'google/tiny', endpoint, retries: 1, retryDelayMs: 1, fetch: server.fetch }).open();
  expect(await loadAll(await open())).toEqual(expected);
  const asked = ['config.json', `model.safetensors 0-${model[2]!.length - 1}`, 'generation_config.json'];
  expect(server.asked()).toEqual(asked);
  expect(server.questions).toBe(1);
  expect(await loadAll(await open())).toEqual(expected);
  server.isOffline = true;
  expect(await loadAll(await open())).toEqual(expected);
  server.isOffline = false;
  expect(server.asked()).toEqual([]);

  await removeCachedWeights();
  server.intercept = (request, body) => {
    // In the last tensor, not in the header.
    if (request.startsWith('model')) body[body.length - 3]! ^= 4;
    return body as Uint8Array<ArrayBuffer>;
  };
  await expect(open().then(loadAll)).rejects.toMatchObject({ name: 'WeightFileError' });
  server.intercept = undefined;
  expect(await loadAll(await open())).toEqual(expected);
});

it('loads a model by its URL, then without network', async () => {
  for (const [i, file] of files.entries()) {
    server.files.set(`models/tiny/${file}`, { bytes: model[i]!, headers: { etag: `"${i}"` } });
  }
  const open = () =>
    modelWeightLoader({ from: 'https://files.test/models/tiny', ...quick, fetch: server.fetch }).open();
  const expected = await loadAll(await open());
  server.isOffline = true;
  expect(await loadAll(await open())).toEqual(expected);
  const [kept] = await listCachedWeights();
  expect(kept).toMatchObject({ name: 'https://files.test/models/tiny', isWhole: true });
  // What changed meanwhile is taken.
  server.isOffline = false;
  server.files.set('models/tiny/config.json', { bytes: new TextEncoder().encode('{"model_type":"other"}') });
  await expect(open()).rejects.toThrow(/other/);
});

it('finds the only GGUF of a hub repository', async () => {
  const gguf = await fixtureBytes('gguf/gemma3-tiny-q8_0.gguf');
  await server.add('tiny-q8_0.gguf', gguf);
  await server.add('README.md', noise(10, 21));
  const weights = await modelWeightLoader({ from: 'google/tiny', endpoint, fetch: server.fetch }).open();
  expect(weights.format).toBe('gguf');
  await weights.close();
});

it('a table on the host is not downloaded: its rows come by ranges, or from pieces that are kept', async () => {
  const options = { isOnHost: true, rowWidth: 1024 };
  for (const source of await tableFiles(options)) await server.add(source.name, await source.read(0, source.size));
  const table = tableTensors(options).get('rows.weight')!.bytes as Uint8Array;
  const rowBytes = table.length / 600;
  const weightsOf = (requests: string[]) =>
    requests
      .map((request) => /^model\.safetensors (\d+)-(\d+)$/.exec(request))
      .flatMap((found) => (found ? [[Number(found[1]), Number(found[2]) + 1 - Number(found[1])] as const] : []));
  const total = (ranges: readonly (readonly [number, number])[]) => ranges.reduce((sum, [, length]) => sum + length, 0);
  const through = { ...quick, pieceBytes: 2 ** 17, fetch: server.fetch };
  const open = () => modelWeightLoader({ from: 'google/tiny', endpoint, families: [pebble], ...through }).open();
  const load = async (weights: OpenedWeights) => {
    const report = await weights.load(weights.entries, { write: () => undefined }, { chunkBytes: 2 ** 14 });
    expect(report.onHost).toEqual(['rows.weight']);
  };
  const weights = await open();
  await load(weights);
  // The pieces that the table's neighbours lie in, and those fetched ahead.
  expect(total(weightsOf(server.asked()))).toBeLessThan(server.files.get('model.safetensors')!.bytes.length / 2);

  const rows = (ids: Int32Array) =>
    Uint8Array.from([...ids].flatMap((id) => [...table.subarray(id * rowBytes, (id + 1) * rowBytes)]));
  const ids = Int32Array.of(599, 300, 420, 300, 1);
  expect(await weights.hostRows!.read(ids)).toEqual(rows(ids));
  const ranges = weightsOf(server.asked());
  // Of what no piece has: 300 and 420, each by itself, wherever pieces begin.
  expect(ranges.map(([, length]) => length)).toEqual([rowBytes, rowBytes]);
  expect(await weights.hostRows!.read(ids)).toEqual(rows(ids));
  expect(server.asked()).toEqual([]);
  await weights.close();

  // Without network what is kept is read, and what is not is named.
  server.isOffline = true;
  const again = await open();
  await load(again);
  expect(await again.hostRows!.read(Int32Array.of(1))).toEqual(rows(Int32Array.of(1)));
  await expect(again.hostRows!.read(Int32Array.of(300))).rejects.toMatchObject({ name: 'WeightSourceError' });
  await again.close();
});
