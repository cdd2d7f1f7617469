// A Gemma of more than 2 GB through the browser's cache in a real Chromium, from a hub that redirects to another origin:
// the page's memory stays small, a second load needs no byte, and a load whose tab was closed goes on where it stopped.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gemmaConfigFromHf, gemmaParamSpecs } from '@lapidary/gemma';
import { build } from 'esbuild';
import { type BrowserContext, chromium, type Page } from 'playwright';
import { afterAll, expect, it } from 'vitest';
import { findChromium } from '../scripts/find-chromium.mjs';
import { hfName } from './support/gemma-fixture.js';
import type { PageLoad } from './weight-cache-page.js';

const mostHeapBytes = 300e6;
const pieceBytes = 8 * 2 ** 20;
/** As in weight-cache-page.ts. */
const stride = 509;

/** Every file's bytes repeat this; its length has no factor in common with that of pieces. */
const block = randomBytes(4 * 2 ** 20 + 13);

interface Model {
  readonly id: string;
  readonly config: string;
  readonly header: Buffer;
  readonly size: number;
  readonly sha256: string;
  readonly tensors: readonly { readonly path: string; readonly offset: number; readonly byteLength: number }[];
}

/** Bytes of a model's weights from `offset` on, at most up to `end` and at most a block. */
function bytesAt({ header }: Model, offset: number, end: number): Buffer {
  if (offset < header.length) return header.subarray(offset, Math.min(end, header.length));
  const at = (offset - header.length) % block.length;
  return block.subarray(at, Math.min(block.length, at + end - offset));
}

function makeModel(id: string, layers: number, vocabSize: number): Model {
  const config = {
    model_type: 'gemma3_text',
    eos_token_id: 1,
    head_dim: 256,
    hidden_size: 1152,
    intermediate_size: 6912,
    max_position_embeddings: 32768,
    num_attention_heads: 4,
    num_hidden_layers: layers,
    num_key_value_heads: 1,
    query_pre_attn_scalar: 256,
    rope_local_base_freq: 10000,
    rope_theta: 1000000,
    sliding_window: 512,
    sliding_window_pattern: 6,
    vocab_size: vocabSize,
  };
  const read = gemmaConfigFromHf(config);
  let end = 0;
  const placed = gemmaParamSpecs(read).map(({ path, shape }) => {
    const byteLength = 2 * shape.reduce((a, b) => a * b, 1);
    const start = end;
    end += byteLength;
    return { path, shape, start, byteLength };
  });
  const entries = placed.map(({ path, shape, start, byteLength }) => [
    hfName(path, read),
    { dtype: 'BF16', shape, data_offsets: [start, start + byteLength] },
  ]);
  const json = JSON.stringify(Object.fromEntries(entries));
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const header = Buffer.alloc(8 + text.length);
  header.writeBigUInt64LE(BigInt(text.length));
  text.copy(header, 8);
  const tensors = placed.map(({ path, start, byteLength }) => ({ path, offset: header.length + start, byteLength }));
  const size = header.length + end;
  const model = { id, config: JSON.stringify(config), header, size, sha256: '', tensors };
  const hash = createHash('sha256');
  for (let at = 0; at < size; ) {
    const bytes = bytesAt(model, at, size);
    hash.update(bytes);
    at += bytes.length;
  }
  return { ...model, sha256: hash.digest('hex') };
}

/** What the page must find of each parameter. */
function expectedSums(model: Model): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { path, offset, byteLength } of model.tensors) {
    let sum = 0;
    for (let i = 0; i < byteLength; i += stride) {
      const byte = block[(offset - model.header.length + i) % block.length]!;
      sum = (sum + byte * ((i % 65521) + 1)) % 2 ** 40;
    }
    sums[path] = sum;
  }
  return sums;
}

const commit = 'c'.repeat(40);
const undo: (() => unknown)[] = [];
afterAll(async () => {
  for (const each of undo.reverse()) await each();
});

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  undo.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}

/** A hub whose large files lie on another origin, which shows pages no header that it need not show. */
async function serveHub(models: readonly Model[], script: string) {
  const served = { requests: 0, bytes: 0 };
  const find = (path: string) => models.find(({ id }) => path.includes(id));
  const storage = await listen((request, response) => {
    const model = find(request.url ?? '');
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (!model || request.method !== 'GET' || from === undefined) return void response.writeHead(400).end();
    const end = Number(to) + 1;
    served.requests++;
    response.writeHead(206, {
      'Access-Control-Allow-Origin': '*',
      'Content-Range': `bytes ${from}-${to}/${model.size}`,
      'Content-Length': end - Number(from),
    });
    let at = Number(from);
    const send = () => {
      while (at < end && !response.destroyed) {
        const bytes = bytesAt(model, at, end);
        at += bytes.length;
        served.bytes += bytes.length;
        if (!response.write(bytes)) return void response.once('drain', send);
      }
      response.end();
    };
    send();
  });
  const hub = await listen((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://hub');
    const model = find(pathname);
    const html = { 'Content-Type': 'text/html' };
    if (pathname === '/')
      return void response.writeHead(200, html).end('<script type="module" src="/page.js"></script>');
    if (pathname === '/page.js') return void response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(script);
    if (!model) return void response.writeHead(404).end();
    if (pathname === `/api/models/${model.id}/revision/main`) {
      const siblings = [
        { rfilename: 'config.json', size: model.config.length },
        { rfilename: 'model.safetensors', size: model.size, lfs: { sha256: model.sha256, size: model.size } },
      ];
      return void response.writeHead(200).end(JSON.stringify({ sha: commit, siblings }));
    }
    if (pathname === `/${model.id}/resolve/${commit}/config.json`) return void response.end(model.config);
    if (pathname === `/${model.id}/resolve/${commit}/model.safetensors`)
      return void response.writeHead(302, { Location: `${storage}/${model.id}`, 'X-Linked-Etag': model.sha256 }).end();
    response.writeHead(404).end();
  });
  return { hub, served };
}

async function bundlePage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('weight-cache-page.ts', import.meta.url))],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['lapidary-source', 'browser'],
    write: false,
    logLevel: 'warning',
  });
  return outputFiles[0]!.text;
}

interface PageGlobals {
  load(from: string): Promise<PageLoad>;
  readonly state: { readonly bytes: number; readonly totalBytes: number };
}
const startLoad = (page: Page, from: string) =>
  page.evaluate((id) => (globalThis as unknown as PageGlobals).load(id), from);

async function openPage(browser: BrowserContext, url: string): Promise<Page> {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(error));
  await page.goto(url);
  await page.waitForFunction(() => 'load' in globalThis);
  return page;
}

/** Looks at the page's memory every 50 ms while something runs: objects, DOM and the bytes of all ArrayBuffers. */
async function withHeapPeak<T>(page: Page, run: Promise<T>): Promise<{ result: T; peak: number; samples: number }> {
  const session = await page.context().newCDPSession(page);
  let peak = 0;
  let samples = 0;
  let isDone = false;
  const sampling = (async () => {
    while (!isDone) {
      const usage = await session.send('Runtime.getHeapUsage');
      const { usedSize, embedderHeapUsedSize, backingStorageSize } = usage as typeof usage & Record<string, number>;
      peak = Math.max(peak, usedSize + embedderHeapUsedSize! + backingStorageSize!);
      samples++;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  try {
    const result = await run;
    return { result, peak, samples };
  } finally {
    isDone = true;
    await sampling;
    await session.detach();
  }
}

const found = await findChromium();

it('streams more than 2 GB through a small heap, once; and goes on after its tab was closed', async ({ skip }) => {
  if (found === undefined) return skip('no Chromium: set $CHROME, or install one');
  const large = makeModel('google/large', 30, 200_000);
  const other = makeModel('google/other', 6, 100_000);
  expect(large.size).toBeGreaterThan(2e9);
  const { hub, served } = await serveHub([large, other], await bundlePage());
  const profile = await mkdtemp(join(tmpdir(), 'lapidary-profile-'));
  undo.push(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: found.executablePath,
    env: { ...(process.env as Record<string, string>), ...found.env },
    args: ['--no-sandbox', '--enable-unsafe-webgpu'],
    headless: true,
  });
  undo.push(() => browser.close());
  const tell = (what: string, { seconds, bytes, usesGpu }: PageLoad, peak: number, samples: number) =>
    console.log(
      `${what}: ${(bytes / 1e9).toFixed(2)} GB ${usesGpu ? 'to the GPU ' : ''}in ${seconds.toFixed(1)} s ` +
        `(${(bytes / 1e6 / seconds).toFixed(0)} MB/s), peak heap ${(peak / 1e6).toFixed(0)} MB in ${samples} samples`,
    );

  const page = await openPage(browser, hub);
  const first = await withHeapPeak(page, startLoad(page, large.id));
  tell('first load', first.result, first.peak, first.samples);
  const sums = expectedSums(large);
  expect(first.result.sums).toEqual(sums);
  expect(first.peak).toBeLessThan(mostHeapBytes);
  expect(first.samples).toBeGreaterThan(50);
  expect(served.requests).toBe(Math.ceil(large.size / pieceBytes));
  expect(first.result.cached).toMatchObject([{ name: `${hub}/google/large@main`, isWhole: true }]);
  await page.close();

  Object.assign(served, { requests: 0, bytes: 0 });
  const secondPage = await openPage(browser, hub);
  const second = await withHeapPeak(secondPage, startLoad(secondPage, large.id));
  tell('second load', second.result, second.peak, second.samples);
  expect(second.result.sums).toEqual(sums);
  expect(second.peak).toBeLessThan(mostHeapBytes);
  expect(served).toEqual({ requests: 0, bytes: 0 });
  await secondPage.close();

  const closing = await openPage(browser, hub);
  const isCutOff = startLoad(closing, other.id).then(
    () => false,
    () => true,
  );
  await closing.waitForFunction(() => {
    const { bytes, totalBytes } = (globalThis as unknown as PageGlobals).state;
    return totalBytes > 0 && bytes > totalBytes * 0.4;
  });
  await closing.close();
  expect(await isCutOff).toBe(true);
  const before = { ...served };
  Object.assign(served, { requests: 0, bytes: 0 });
  const last = await openPage(browser, hub);
  const third = await withHeapPeak(last, startLoad(last, other.id));
  tell('continued load', third.result, third.peak, third.samples);
  expect(third.result.sums).toEqual(expectedSums(other));
  const all = Math.ceil(other.size / pieceBytes);
  console.log(`${before.requests} of ${all} pieces were asked for before, ${served.requests} after the tab was closed`);
  // What was on its way when the tab was closed is asked for again: six pieces, and two that were being written.
  expect(before.requests).toBeGreaterThan(all * 0.4);
  expect(before.requests + served.requests).toBeLessThanOrEqual(all + 8);
  await last.close();
}, 300_000);
