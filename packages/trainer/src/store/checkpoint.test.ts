import { expect, test } from 'vitest';
import { CheckpointCorruptError, DiskFullError } from '../errors/errors.js';
import type { FileStore } from './file-store.js';
import { loadLatestCheckpoint } from './load-checkpoint.js';
import { createMemoryStore } from './memory-store.js';
import { listCheckpoints, saveCheckpoint, type CheckpointContent } from './save-checkpoint.js';
import * as browserSha256 from './sha256-browser.js';
import * as nodeSha256 from './sha256.js';
import { sha256OfText } from './sha256.js';

function content(step: number): CheckpointContent {
  const bytes = new Uint8Array(new Float32Array([step, step + 0.5, -step]).buffer);
  return {
    tensors: new Map([
      ['layers.0.attn.qProj.lora.a', { dtype: 'f32', shape: [1, 3], bytes }],
      ['half', { dtype: 'bf16', shape: [4], bytes: () => [new Uint8Array(6).fill(step), new Uint8Array(2)] }],
      ['empty', { dtype: 'i32', shape: [0, 2], bytes: new Uint8Array() }],
    ]),
    state: { step, order: { '10': 1, '9': 2 }, seed: 42, ratio: 0.1, nothing: null },
  };
}

async function fileNames(store: FileStore): Promise<string[]> {
  return (await store.list()).map(({ name }) => name.replace(/\.[0-9a-f]{8}\./, '.*.'));
}

test('what was saved comes back: dtypes, shapes, bytes, state', async () => {
  const store = createMemoryStore();
  expect(await loadLatestCheckpoint(store)).toBeNull();
  expect(await saveCheckpoint(store, 7, content(7))).toBe('checkpoints/step-00000007.json');
  const loaded = await loadLatestCheckpoint(store);
  expect(loaded).toMatchObject({ step: 7, state: content(7).state, rejected: [] });
  const tensor = loaded!.tensors.get('layers.0.attn.qProj.lora.a')!;
  expect(tensor).toMatchObject({ dtype: 'f32', shape: [1, 3], byteLength: 12 });
  expect([...new Float32Array((await tensor.read()).slice().buffer)]).toEqual([7, 7.5, -7]);
  expect([...(await loaded!.tensors.get('half')!.read())]).toEqual([7, 7, 7, 7, 7, 7, 0, 0]);
  expect(loaded!.tensors.get('empty')).toMatchObject({ shape: [0, 2], byteLength: 0 });
});

test('the newest N stay, and every step of the period', async () => {
  const store = createMemoryStore();
  for (const step of [5, 10, 15, 20, 25, 30])
    await saveCheckpoint(store, step, content(step), { newest: 2, period: 10 });
  expect(await listCheckpoints(store)).toEqual([30, 25, 20, 10]);
  expect((await store.list()).length).toBe(8);
  await saveCheckpoint(store, 35, content(35), { newest: 1 });
  expect(await fileNames(store)).toEqual(['checkpoints/step-00000035.*.safetensors', 'checkpoints/step-00000035.json']);
});

test('saving a step again replaces it; steps of an abandoned future go', async () => {
  const store = createMemoryStore();
  for (const step of [1, 2, 3]) await saveCheckpoint(store, step, content(step), { newest: 3 });
  await saveCheckpoint(store, 2, content(99), { newest: 3 });
  expect(await listCheckpoints(store)).toEqual([2, 1]);
  expect((await loadLatestCheckpoint(store))?.state).toMatchObject({ step: 99 });
  expect((await store.list()).length).toBe(4);
});

/** As written by somebody who knows how. */
const withHash = (checkpoint: object) => ({ sha256: sha256OfText(JSON.stringify(checkpoint)), checkpoint });

const damages: Record<string, (store: FileStore, manifest: string, tensors: string) => Promise<void>> = {
  'tensors cut short': async (store, _, tensors) => store.write(tensors, (await store.read(tensors)).slice(0, -1)),
  'one bit of the tensors flipped': async (store, _, tensors) => {
    const bytes = await store.read(tensors);
    bytes[bytes.length - 1]! ^= 1;
    await store.write(tensors, bytes);
  },
  'tensors missing': (store, _, tensors) => store.remove(tensors),
  'manifest cut short': async (store, manifest) => store.write(manifest, (await store.read(manifest)).slice(0, 40)),
  'manifest null': (store, manifest) => store.write(manifest, 'null'),
  'manifest of another kind': (store, manifest) =>
    store.write(manifest, JSON.stringify(withHash({ format: 'lapidary-checkpoint-1', step: 2, tensors: null }))),
  'manifest nested too deep': (store, manifest) =>
    store.write(
      manifest,
      `{"checkpoint":{"format":"lapidary-checkpoint-1","state":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
    ),
  'manifest empty': (store, manifest) => store.write(manifest, ''),
  'state in the manifest changed': async (store, manifest) =>
    store.write(manifest, new TextDecoder().decode(await store.read(manifest)).replace('"seed":42', '"seed":43')),
};

for (const [name, damage] of Object.entries(damages)) {
  test(`${name}: the previous checkpoint is used, and it is said`, async () => {
    const store = createMemoryStore();
    await saveCheckpoint(store, 1, content(1));
    await saveCheckpoint(store, 2, content(2));
    const [tensors, manifest] = (await store.list('checkpoints/step-00000002')).map((file) => file.name);
    await damage(store, manifest!, tensors!);
    const loaded = await loadLatestCheckpoint(store);
    expect(loaded).toMatchObject({ step: 1, state: { step: 1 } });
    expect(loaded!.rejected).toEqual([
      { file: expect.stringContaining('step-00000002') as string, reason: expect.any(String) as string },
    ]);

    const [tensors1, manifest1] = (await store.list('checkpoints/step-00000001')).map((file) => file.name);
    await damage(store, manifest1!, tensors1!);
    await expect(loadLatestCheckpoint(store)).rejects.toThrow(CheckpointCorruptError);
  });
}

test('a full disk leaves the checkpoints as they were', async () => {
  const store = createMemoryStore();
  await saveCheckpoint(store, 1, content(1));
  const before = await store.list();
  for (const full of [/safetensors$/, /json$/]) {
    const failing: FileStore = {
      ...store,
      write: (name, data) =>
        full.test(name) ? Promise.reject(new DiskFullError({ path: name, bytes: 1 })) : store.write(name, data),
    };
    await expect(saveCheckpoint(failing, 2, content(2))).rejects.toThrow(DiskFullError);
    expect(await store.list()).toEqual(before);
  }
});

test('bytes that do not fit the shape are refused, and leave nothing', async () => {
  const store = createMemoryStore();
  const tensors = new Map([['w', { dtype: 'f32' as const, shape: [2], bytes: new Uint8Array(4) }]]);
  await expect(saveCheckpoint(store, 1, { tensors, state: null })).rejects.toThrow(
    'Tensor w: 4 bytes given, but f32 [2] takes 8',
  );
  expect(await store.list()).toEqual([]);
});

test('both SHA-256 say the same', () => {
  const [node, browser] = [nodeSha256.createSha256(), browserSha256.createSha256()];
  for (const text of ['ab', '', 'c'.repeat(1000)]) {
    node.update(new TextEncoder().encode(text));
    browser.update(new TextEncoder().encode(text));
  }
  expect(node.hex()).toBe(browser.hex());
  // FIPS 180-4's example.
  expect(nodeSha256.sha256OfText('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

/** A manifest with the hash of what it says, whatever that is. */
const signed = (checkpoint: unknown) =>
  JSON.stringify({ sha256: sha256OfText(JSON.stringify(checkpoint)), checkpoint });

test.each([
  ['nothing', null, /checkpoint: /],
  ['no tensors', { format: 'lapidary-checkpoint-1', step: 1, state: {} }, /tensors/],
  [
    'a file elsewhere',
    {
      format: 'lapidary-checkpoint-1',
      step: 1,
      tensors: { file: '../../etc/passwd', bytes: 1, sha256: '' },
      state: {},
    },
    /tensors\.file: is no file of a checkpoint/,
  ],
  [
    'half a step',
    { format: 'lapidary-checkpoint-1', step: 0.5, tensors: { file: 'x', bytes: 1, sha256: '' }, state: {} },
    /step/,
  ],
  ['a file that is a list', { format: 'lapidary-checkpoint-1', step: 1, tensors: { file: [] }, state: {} }, /file/],
])('a manifest that somebody wrote and signed, of %s', async (_, checkpoint, message) => {
  const store = createMemoryStore();
  await saveCheckpoint(store, 1, content(1));
  await store.write('checkpoints/step-00000001.json', signed(checkpoint));
  await expect(loadLatestCheckpoint(store)).rejects.toThrow(message);
  await expect(loadLatestCheckpoint(store)).rejects.toBeInstanceOf(CheckpointCorruptError);
});
