import { expect, test } from 'vitest';
import { StoredFileMissingError, StoreNameError } from '../../errors/errors.js';
import type { FileStore } from '../file-store.js';
import { readText } from '../file-store.js';

/** What every FileStore does. `create` gives an empty store. */
export function testStoreContract(kind: string, create: () => Promise<FileStore>): void {
  test(`${kind}: writes, reads, ranges, chunks, appends, renames, lists, removes`, async () => {
    const store = await create();
    expect(await store.list()).toEqual([]);
    await store.write('b/two.bin', [new Uint8Array([1, 2]), new Uint8Array([3, 4, 5])]);
    await store.write('a.txt', 'first');
    await store.write('a.txt', 'new');
    await store.append('log/x.jsonl', '{"a":1}\n');
    await store.append('log/x.jsonl', '{"a":2}\n');
    expect(await readText(store, 'a.txt')).toBe('new');
    expect(await readText(store, 'log/x.jsonl')).toBe('{"a":1}\n{"a":2}\n');
    expect([...(await store.read('b/two.bin', { start: 1, end: 3 }))]).toEqual([2, 3]);
    expect([...(await store.read('b/two.bin', { start: 3, end: 99 }))]).toEqual([4, 5]);
    const chunks: number[] = [];
    for await (const chunk of store.readChunks('b/two.bin')) chunks.push(...chunk);
    expect(chunks).toEqual([1, 2, 3, 4, 5]);
    expect(await store.list()).toEqual([
      { name: 'a.txt', bytes: 3 },
      { name: 'b/two.bin', bytes: 5 },
      { name: 'log/x.jsonl', bytes: 16 },
    ]);
    await store.rename('a.txt', 'b/two.bin');
    expect((await store.list('b/')).map(({ name }) => name)).toEqual(['b/two.bin']);
    expect(await readText(store, 'b/two.bin')).toBe('new');
    await store.remove('b/two.bin');
    await store.remove('b/two.bin');
    expect((await store.list()).map(({ name }) => name)).toEqual(['log/x.jsonl']);
  });

  test(`${kind}: a write that fails half-way leaves the old content, or nothing`, async () => {
    const store = await create();
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      throw new Error('source broke');
    }
    await store.write('old.bin', 'kept');
    await expect(store.write('old.bin', failing())).rejects.toThrow('source broke');
    await expect(store.write('new.bin', failing())).rejects.toThrow('source broke');
    expect(await readText(store, 'old.bin')).toBe('kept');
    expect((await store.list()).map(({ name }) => name)).toEqual(['old.bin']);
  });

  test(`${kind}: missing files and names that leave the store are typed errors`, async () => {
    const store = await create();
    await expect(store.read('none')).rejects.toThrow(StoredFileMissingError);
    await expect(store.read('no/ne')).rejects.toThrow(StoredFileMissingError);
    await expect(store.rename('none', 'x')).rejects.toThrow(StoredFileMissingError);
    for (const name of ['', '../x', '/etc/x', 'a//b', 'a/./b', 'a\\b', 'c:/x', 'nul\0']) {
      await expect(store.write(name, 'x'), name).rejects.toThrow(StoreNameError);
    }
  });
}
