import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NoAdapterError } from '@lapidary/gpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from './cli-node.js';
import { diagnose, type Surroundings } from './diagnose-node.js';
import type { Finding } from './engine.js';
import { createStandInEngine } from './testing/stand-in-engine.js';

let folder: string;
const server = createServer((_, response) => void response.end());
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-doctor-'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

const none = () => Promise.reject(new NoAdapterError({ reason: 'no driver', advice: 'Install mesa-vulkan-drivers.' }));
const hub = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** By name, without a device unless one is asked for. */
async function found(around: Surroundings = {}): Promise<Record<string, Finding>> {
  const findings = await diagnose({ openGpu: none, cacheFolder: join(folder, 'cache'), hub: hub(), ...around });
  return Object.fromEntries(findings.map((finding) => [finding.name, finding]));
}

test('this machine is told of, and its kernels are tried', async () => {
  const findings = await diagnose({ cacheFolder: join(folder, 'new/cache'), hub: hub(), token: undefined });
  expect(findings.filter(({ state }) => state === 'broken')).toEqual([]);
  const told = Object.fromEntries(findings.map(({ name, found }) => [name, found]));
  expect(told).toMatchObject({
    Node: process.versions.node,
    Device: expect.stringMatching(/on the CPU|on a GPU/) as string,
    Features: expect.stringMatching(/f16.*subgroups.*matrices/) as string,
    Limits: expect.stringMatching(/buffers of .*B, bindings of .*B/) as string,
    Kernels: expect.stringMatching(/^\d\d kernels compute what they should/) as string,
    Memory: expect.stringMatching(/free of/) as string,
    Hub: expect.stringContaining('answers') as string,
    'Access token': expect.stringMatching(/^none/) as string,
  });
  expect(await readdir(join(folder, 'new/cache'))).toEqual([]);
});

test('no adapter, or an old Node: training cannot work, and it says what to do', async () => {
  expect((await found())['Device']).toEqual({
    name: 'Device',
    state: 'broken',
    found: 'none: no driver',
    advice: 'Install mesa-vulkan-drivers.',
  });
  for (const [nodeVersion, state] of [
    ['18.20.0', 'broken'],
    ['20.2.9', 'broken'],
    ['20.3.0', 'fine'],
    ['24.0.1', 'fine'],
  ] as const)
    expect((await found({ nodeVersion }))['Node']!.state).toBe(state);
});

test('a hub that cannot be reached and a cache that cannot be written are notes', async () => {
  const away = (await found({ hub: 'http://127.0.0.1:9' }))['Hub']!;
  expect(away).toMatchObject({ state: 'slow', found: expect.stringContaining('cannot be reached') as string });
  await writeFile(join(folder, 'file'), '');
  const cache = (await found({ cacheFolder: join(folder, 'file/cache') }))['Cache folder']!;
  expect(cache).toMatchObject({ state: 'slow', found: expect.stringContaining('cannot be written') as string });
  expect(cache.advice).toContain('XDG_CACHE_HOME');
});

test('of a token is told only that there is one', async () => {
  const all = JSON.stringify(await found({ token: 'hf_secret' }));
  expect(all).toContain('there is one');
  expect(all).not.toContain('secret');
});

async function doctor(args: readonly string[], broken = false): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const finding = { name: 'Device', state: 'broken', found: 'none', advice: 'Install one.' } as const;
  const { engine } = createStandInEngine(broken ? { diagnose: async () => [finding] } : {});
  const code = await runCli(['doctor', ...args], {
    engine,
    version: '0',
    out: (text) => void (out += text),
    err: (text) => void (err += text),
  });
  return { code, out, err };
}

test('the command prints a table with advice, or JSON, and fails where training cannot work', async () => {
  const fine = await doctor([]);
  expect(fine).toMatchObject({ code: 0, err: 'Measuring the device, for some seconds …\n' });
  expect(fine.out).toMatch(/ok +Node +22\.1\.0\nnote +Device +llvmpipe\n\nDevice: Install a driver\.\n\nSpeed/);
  expect((await doctor(['--no-speed'])).out).toMatch(/Device: Install a driver\.\n$/);
  const { code, out } = await doctor(['--json']);
  expect([code, JSON.parse(out)]).toMatchObject([
    0,
    { canTrain: true, findings: [{ name: 'Node' }, { state: 'slow' }], measured: { device: 'llvmpipe' } },
  ]);
  const broken = await doctor([], true);
  expect(broken.code).toBe(1);
  expect(broken.out).toMatch(/PROBLEM +Device +none/);
  expect(broken.err).toMatch(/Training cannot work here: Device\.\nInstall one\./);
  const [first] = (await doctor(['--json'], true)).out.split('\n');
  expect(JSON.parse(first!)).toMatchObject({ canTrain: false, measured: null });
  expect(broken.err).not.toContain('Measuring');
});

test('speed is told as measured, estimates as such, and software as what it is', async () => {
  const { out } = await doctor([]);
  expect(out).toContain(`Speed, measured on llvmpipe: that is software, and a GPU is many times as fast
f32 in registers         92.6 GFLOP/s
Copies                   2 GB/s, 3 in caches
bf16 weights × 128 rows  30 GFLOP/s
bf16 weights × 1 row     12.5 GB/s
A kernel by itself       28 µs, a run 0.086 ms
`);
  expect(out).toMatch(/Estimates, not measured: .*\n.*half of them to twice/);
  expect(out).toMatch(/gemma-3-270m +256 tokens\/s +2 s a step +15\.9 tokens\/s\ngemma-3-1b .*\ngemma-3-4b /);
  const chosen = await doctor(['--for', 'gemma-3-1b']);
  expect(chosen.out).not.toContain('gemma-3-270m');
  const wrong = await doctor(['--for', 'gemma-3-1c']);
  expect(wrong).toMatchObject({ code: 1, out: '' });
  expect(wrong.err).toContain('Did you mean gemma-3-1b?');
});
