import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { loaderOf } from './engine-node.js';
import { hubToken } from './hub-token-node.js';

afterEach(() => vi.unstubAllEnvs());

test('the token is that of the environment, or of the file that hf auth login writes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-hf-'));
  try {
    const HF_HOME = folder;
    expect(hubToken({ HF_HOME })).toBeUndefined();
    await writeFile(join(folder, 'token'), 'from-file\n');
    expect(hubToken({ HF_HOME })).toBe('from-file');
    expect(hubToken({ HF_HOME, HF_TOKEN: '' })).toBe('from-file');
    expect(hubToken({ HF_HOME, HUGGING_FACE_HUB_TOKEN: 'old' })).toBe('old');
    expect(hubToken({ HF_HOME, HF_TOKEN: 'new', HUGGING_FACE_HUB_TOKEN: 'old' })).toBe('new');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the commands' loader sends it to the hub", async () => {
  const heard: (string | undefined)[] = [];
  const server = createServer(({ headers }, response) => {
    heard.push(headers.authorization);
    response.writeHead(403).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  vi.stubEnv('HF_TOKEN', 'of-the-user');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await expect(loaderOf('google/gemma-3-270m', { endpoint }).open()).rejects.toThrow(
      /accept its licence on .*\/google\/gemma-3-270m.*HF_TOKEN/s,
    );
    expect(new Set(heard)).toEqual(new Set(['Bearer of-the-user']));
  } finally {
    server.close();
  }
});

test('a local model is the same by its relative and its absolute path', () => {
  expect(loaderOf('packages').description).toBe(resolve('packages'));
  expect(loaderOf('./packages/').description).toBe(loaderOf(resolve('packages')).description);
  expect(loaderOf('google/gemma-3-270m').description).toBe('google/gemma-3-270m');
});
