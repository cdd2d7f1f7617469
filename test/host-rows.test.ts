// Rows of a table that stays in its file: what is read, how often, and what is refused.
import type { HostRows } from '@lapidary/gemma';
import { HostFeed, type Batch } from '@lapidary/trainer';
import { bufferSource, formatLoadReport, type ByteSource, type TensorData } from '@lapidary/weights';
import { expect, it } from 'vitest';
import { openHostRows, type HostRowsOptions } from '../packages/weights/src/loader/host-rows.js';
import { tableFiles, tableLoader, tableTensors, watched, type TableOptions } from './support/host-table.js';

const ids = Int32Array.of(7, 0, 599, 7, 8, 300, 0);

/** The bytes of rows of a tensor in memory. */
function rowsOf({ bytes, shape }: TensorData, wanted: Int32Array): Uint8Array {
  const all = bytes as Uint8Array;
  const rowBytes = all.length / shape[0]!;
  return Uint8Array.from([...wanted].flatMap((id) => [...all.subarray(id * rowBytes, (id + 1) * rowBytes)]));
}

it.each<TableOptions>([
  { isOnHost: true, dtype: 'bf16' },
  { isOnHost: true, dtype: 'bf16', shardBytes: 20_000 },
  { isOnHost: true, dtype: 'q8_0' },
  { isOnHost: true, dtype: 'q4_k', rowWidth: 256 },
])('come in the order of the ids, as they are in the file: %o', async (options) => {
  const weights = await tableLoader(await tableFiles(options)).open();
  const { hostRows } = weights;
  const { dtype, rowWidth = 32 } = options;
  expect(hostRows).toMatchObject({ path: 'rows.weight', dtype, rows: 600, width: 3 * rowWidth });
  expect(await hostRows!.read(ids)).toEqual(rowsOf(tableTensors(options).get('rows.weight')!, ids));
  expect(await hostRows!.read(new Int32Array(0))).toEqual(new Uint8Array(0));
  await weights.close();
});

it('a load leaves the table in its file, and says so', async () => {
  const files = await tableFiles({ isOnHost: true });
  const [file] = files.filter(({ name }) => name === 'model.safetensors');
  const reads: (readonly [number, number])[] = [];
  let verified = 0;
  const counting = { ...watched(file!, reads), verify: async () => void verified++ };
  const weights = await tableLoader(files.map((each) => (each === file ? counting : each))).open();
  reads.length = 0;
  const written = new Set<string>();
  const load = () => weights.load(weights.entries, { write: (path) => void written.add(path) }, { chunkBytes: 1024 });
  const report = await load();
  expect(written).not.toContain('rows.weight');
  expect(written.size).toBe(weights.entries.size - 1);
  expect(report.onHost).toEqual(['rows.weight']);
  expect(report.unused).toEqual([]);
  expect(formatLoadReport(report)).toContain('on the host  1 (rows.weight)');
  // Less than the table alone has: its neighbours are read in pieces that begin or end in it.
  const table = 600 * 96 * 2;
  expect(file!.size).toBeGreaterThan(table);
  expect(reads.reduce((sum, [, length]) => sum + length, 0)).toBeLessThan(table / 2);
  // The sum of all bytes that a hub states would need all of them.
  expect(verified).toBe(0);
  // What is not asked for is no mistake either.
  const others = new Map([...weights.entries].filter(([path]) => path !== 'rows.weight'));
  expect((await weights.load(others, { write: () => undefined })).onHost).toEqual(['rows.weight']);
});

it('a file without the table is refused by name, whatever may be missing', async () => {
  const { safetensorsToBytes } = await import('@lapidary/weights');
  const tensors = new Map([...tableTensors({ isOnHost: true })].filter(([path]) => path !== 'rows.weight'));
  const named = new Map(
    [...tensors].map(([path, data]) => [
      path === 'words.weight' ? 'wte.weight' : path.replace(/^layers\.(\d)\.(\w+)\./, 'h.$1.$2_proj.'),
      data,
    ]),
  );
  const files = (await tableFiles({ isOnHost: true })).filter(({ name }) => name !== 'model.safetensors');
  const weights = await tableLoader([
    ...files,
    bufferSource('model.safetensors', await safetensorsToBytes(named)),
  ]).open();
  expect(weights.hostRows).toBeUndefined();
  const entries = new Map([...weights.entries].filter(([path]) => path !== 'rows.weight'));
  await expect(weights.load(entries, { write: () => undefined }, { allowMissing: /./ })).rejects.toMatchObject({
    name: 'WeightNamesError',
    missing: ['rows.weight'],
  });
});

const width = 8;
const rowBytes = width * 4;

/** A table f32 [rows, 8] in which every value is its row. */
function table(source: (bytes: Uint8Array) => ByteSource, options: HostRowsOptions & { rows?: number } = {}): HostRows {
  const { rows = 1000, ...how } = options;
  const values = Float32Array.from({ length: rows * width }, (_, i) => Math.floor(i / width));
  values[13 * width + 3] = Number.NaN;
  const stored = {
    name: 'table',
    type: 'F32',
    shape: [rows, width],
    source: source(new Uint8Array(values.buffer)),
    offset: 0,
    byteLength: values.byteLength,
  };
  const entry = { shape: [rows, width], dtype: 'f32' as const, sourceName: 'table', file: 'model' };
  return openHostRows({ path: 'rows.weight', stored, storedDType: 'f32', offset: 0, entry }, how);
}

const firsts = (bytes: Uint8Array) => [...new Float32Array(bytes.buffer)].filter((_, i) => i % width === 0);

function counted(options: Parameters<typeof table>[1] = {}) {
  const reads: (readonly [number, number])[] = [];
  const rows = table((bytes) => watched(bufferSource('model', bytes), reads), options);
  const taken = () => reads.splice(0).map(([offset, length]) => [offset / rowBytes, length / rowBytes]);
  return { rows, taken };
}

it('neighbours, and rows that are near, come in one read; what is at hand in none', async () => {
  const { rows, taken } = counted({ gapBytes: 3 * rowBytes });
  const wanted = Int32Array.of(101, 100, 100, 105, 500, 101, 999);
  expect(firsts(await rows.read(wanted))).toEqual([...wanted]);
  expect(taken().sort((a, b) => a[0]! - b[0]!)).toEqual([
    [100, 6],
    [500, 1],
    [999, 1],
  ]);
  expect(firsts(await rows.read(Int32Array.of(999, 100, 102)))).toEqual([999, 100, 102]);
  // Those between were not asked for, and not kept.
  expect(taken()).toEqual([[102, 1]]);
});

it('keeps no more than it may, the rows used last', async () => {
  const { rows, taken } = counted({ cacheBytes: 2 * rowBytes, gapBytes: 0 });
  await rows.read(Int32Array.of(1));
  await rows.read(Int32Array.of(3));
  await rows.read(Int32Array.of(1));
  await rows.read(Int32Array.of(5));
  taken();
  await rows.read(Int32Array.of(1, 5));
  expect(taken()).toEqual([]);
  await rows.read(Int32Array.of(3));
  expect(taken()).toEqual([[3, 1]]);
  // More rows at once than are kept.
  const many = Int32Array.from({ length: 40 }, (_, i) => 20 + 2 * i);
  expect(firsts(await rows.read(many))).toEqual([...many]);
});

it('several reads are on their way at once, and not too many; what two ask for is read once', async () => {
  let [now, most] = [0, 0];
  const reads: (readonly [number, number])[] = [];
  const rows = table(
    (bytes) => {
      const source = watched(bufferSource('model', bytes), reads);
      return {
        ...source,
        read: async (offset, length) => {
          most = Math.max(most, ++now);
          await new Promise((resolve) => setTimeout(resolve, 0));
          now--;
          return source.read(offset, length);
        },
      };
    },
    { gapBytes: 0 },
  );
  const many = Int32Array.from({ length: 100 }, (_, i) => 20 + 2 * i);
  const [a, b] = await Promise.all([rows.read(many), rows.read(many)]);
  expect(firsts(a)).toEqual([...many]);
  expect(b).toEqual(a);
  expect(reads).toHaveLength(100);
  expect(most).toBe(8);
});

it('refuses ids without a row, rows that are not finite, and files that end; the next read goes on', async () => {
  const { rows } = counted();
  for (const id of [-1, 1000])
    await expect(rows.read(Int32Array.of(5, id))).rejects.toMatchObject({
      name: 'WeightFileError',
      tensor: 'table',
      message: expect.stringContaining(`no row ${id}: there are 1000`),
    });
  await expect(rows.read(Int32Array.of(14, 13))).rejects.toMatchObject({
    name: 'WeightFileError',
    message: expect.stringMatching(/^model, tensor table: row 13 holds values that are not finite/),
  });
  expect(firsts(await rows.read(Int32Array.of(12, 14)))).toEqual([12, 14]);
  const cut = table((bytes) => bufferSource('model', bytes.subarray(0, 500 * rowBytes)));
  await expect(cut.read(Int32Array.of(700))).rejects.toMatchObject({ name: 'WeightFileError' });
  expect(firsts(await cut.read(Int32Array.of(2)))).toEqual([2]);
  const stop = AbortSignal.abort(new Error('enough'));
  await expect(rows.read(Int32Array.of(30), stop)).rejects.toThrow('enough');
});

it('rows of the next batch are on their way before a batch is used, and none are kept behind it', async () => {
  const log: string[] = [];
  const rows: HostRows = {
    path: 'rows.weight',
    dtype: 'f32',
    rows: 10,
    width: 1,
    read: async ([id]) => {
      log.push(`read ${id}`);
      if (id === 9) throw new Error('no row 9');
      return Uint8Array.of(id!);
    },
  };
  const batch = (id: number): Batch => ({
    shape: { batch: 1, length: 1 },
    inputs: { inputIds: Int32Array.of(id) },
    weight: 1,
    numTokens: 1,
  });
  const feed = new HostFeed(rows);
  const batches = [batch(1), batch(2), batch(3)];
  feed.expect(batches[0]!);
  for await (const { batch: own, inputs } of feed.feed(batches)) {
    expect(own.inputs).not.toHaveProperty('hostRows');
    log.push(`use ${(inputs as { hostRows?: Uint8Array }).hostRows![0]}`);
  }
  expect(log).toEqual(['read 1', 'read 2', 'use 1', 'read 3', 'use 2', 'use 3']);
  // Again: rows were not kept.
  log.length = 0;
  for await (const _ of feed.feed(batches.slice(0, 1))) log.push('use');
  expect(log).toEqual(['read 1', 'use']);
  // What fails is told where the batch is used, not before.
  log.length = 0;
  const failing = (async () => {
    for await (const _ of feed.feed([batch(1), batch(9)])) log.push('use');
  })();
  await expect(failing).rejects.toThrow('no row 9');
  expect(log).toEqual(['read 1', 'read 9', 'use']);
  const none = new HostFeed(undefined);
  for await (const { inputs } of none.feed(batches)) expect(inputs).toEqual({ inputIds: expect.any(Int32Array) });
});
