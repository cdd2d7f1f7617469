import { expect, test } from 'vitest';
import { DiskFullError } from '../errors/errors.js';
import { createDirectoryHandleStore, openOpfsStore } from './opfs-store.js';
import { createFakeDirectory } from './testing/fake-directory.js';
import { testStoreContract } from './testing/store-contract.js';

testStoreContract('directory handle (stand-in)', async () => createDirectoryHandleStore(createFakeDirectory()));

// In the browser project this is the real file system.
if ('storage' in (globalThis.navigator ?? {})) {
  let count = 0;
  testStoreContract('OPFS', () => openOpfsStore(`test-${Date.now()}-${count++}`));
}

test('an exceeded quota is a DiskFullError, and the file is not left half-written', async () => {
  const store = createDirectoryHandleStore(createFakeDirectory('small', 100));
  const error = await store
    .write('x/big.bin', [new Uint8Array(60), new Uint8Array(60)])
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(DiskFullError);
  expect(error).toMatchObject({ path: 'opfs:/small/x/big.bin', bytes: 120 });
  expect(await store.list()).toEqual([]);
});
