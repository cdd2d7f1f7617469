import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { createNodeFileStore, removeUnfinishedFiles, type FileSystem } from './file-store-node.js';
import { loadLatestCheckpoint } from './load-checkpoint.js';
import { saveCheckpoint } from './save-checkpoint.js';
import { contentOfStep, isWhole } from './testing/content-of-step.js';

const made: string[] = [];
async function makeFolder(): Promise<string> {
  const folder = await fs.mkdtemp(join(tmpdir(), 'lapidary-kill-'));
  made.push(folder);
  return folder;
}
afterAll(() => Promise.all(made.map((folder) => fs.rm(folder, { recursive: true }))));

/** A process that stops before its file operation number `last`: nothing after it happens, tidying up included. */
function dyingProcess(last: number): { fs: FileSystem; hasDied: () => boolean } {
  let count = 0;
  const count1 = () => {
    if (++count > last) throw new Error('killed');
  };
  const dying =
    <A extends unknown[], R>(operation: (...args: A) => R) =>
    (...args: A): R => {
      count1();
      return operation(...args);
    };
  const wrapped = {
    ...fs,
    rename: dying(fs.rename),
    unlink: dying(fs.unlink),
    mkdir: dying(fs.mkdir),
    open: async (...args: Parameters<typeof fs.open>) => {
      count1();
      const file = await fs.open(...args);
      return Object.assign(file, { write: dying(file.write.bind(file)), sync: dying(file.sync.bind(file)) });
    },
  } as FileSystem;
  return { fs: wrapped, hasDied: () => count > last };
}

test.each([1, 2])(
  'stopped before any of its file operations (keep %i): the previous checkpoint or the new one is whole',
  async (newest) => {
    let outcomes = '';
    for (let last = 0; ; last++) {
      const folder = await makeFolder();
      const store = createNodeFileStore(folder);
      await saveCheckpoint(store, 1, contentOfStep(1), { newest });
      await saveCheckpoint(store, 2, contentOfStep(2), { newest });
      const dying = dyingProcess(last);
      await saveCheckpoint(createNodeFileStore(folder, dying), 3, contentOfStep(3), { newest }).catch(() => undefined);
      const found = await loadLatestCheckpoint(store);
      expect(await isWhole(found!), `operation ${last}`).toBe(true);
      expect([2, 3]).toContain(found!.step);
      expect(found!.rejected).toEqual([]);
      outcomes += found!.step;
      // Whatever was left, the next save works and leaves no rubbish but temporary files, which the start of a run removes.
      await saveCheckpoint(store, 4, contentOfStep(4), { newest: 1 });
      expect((await store.list()).length).toBe(2);
      if (!dying.hasDied()) break;
    }
    expect(outcomes).toMatch(/^2{10,}3{2,}$/);
  },
);

test('SIGKILL at any moment, again and again', async () => {
  const folder = await makeFolder();
  const store = createNodeFileStore(folder);
  const script = fileURLToPath(new URL('./testing/save-forever-node.ts', import.meta.url));
  let reached = 0;
  for (let round = 0; round < 12; round++) {
    const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=lapidary-source', script, folder, '1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      // Killed some time after its first words, when it is in the middle of something.
      if (output === '') setTimeout(() => child.kill('SIGKILL'), 15 + round * 7);
      output += text;
    });
    await ended;
    expect(child.signalCode, output).toBe('SIGKILL');
    const told = Math.max(...[...output.matchAll(/(?:saved|ready) (\d+)\n/g)].map(([, step]) => Number(step)));
    const found = await loadLatestCheckpoint(store);
    if (told > 0) {
      expect(found!.step).toBeGreaterThanOrEqual(told); // what it called saved is saved
      expect(found!.rejected).toEqual([]);
      expect(await isWhole(found!)).toBe(true);
    }
    reached = found?.step ?? 0;
  }
  expect(reached).toBeGreaterThan(3);
  await removeUnfinishedFiles(folder);
  await saveCheckpoint(store, reached + 1, contentOfStep(reached + 1), { newest: 1 });
  expect((await fs.readdir(join(folder, 'checkpoints'))).length).toBe(2);
});
