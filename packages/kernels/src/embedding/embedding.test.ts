import { expect, test } from 'vitest';
import { quantDTypes } from '../dtype.js';
import { embeddingGather, embeddingScatterAdd } from './embedding.js';
import { embeddingGatherReference, embeddingScatterAddReference } from '../reference/embedding.js';
import { runKernels } from '../run-kernels.js';
import { ggufBlocks } from '../testing/gguf-blocks.js';
import { randomStored } from '../testing/half-floats.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload, uploadBytes } from '../testing/test-gpu.js';
import { bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';

const scale = Math.fround(Math.sqrt(13));

test.each([
  { vocab: 1, dim: 1, dtype: 'f32', limit: 0 },
  { vocab: 19, dim: 13, dtype: 'f32', limit: 0 },
  { vocab: 19, dim: 24, dtype: 'f32', limit: 0 },
  { vocab: 7, dim: 40, dtype: 'bf16', limit: 0 },
  { vocab: 7, dim: 9, dtype: 'f16', limit: 0 },
  { vocab: 301, dim: 13, dtype: 'f32', limit: 4096 },
  { vocab: 301, dim: 24, dtype: 'bf16', limit: 4096 },
] as const)('gather from $vocab × $dim $dtype, bindings up to $limit', async ({ vocab, dim, dtype, limit }) => {
  const gpu = await testGpu();
  const profile = limit ? withBindingLimit(gpu.profile, limit) : gpu.profile;
  const table = randomStored(vocab * dim, 1, dtype);
  const ids = [0, vocab - 1, -1, vocab, vocab >> 1, 0, 2_000_000_000, -2_000_000_000];
  const out = emptyOutput(gpu, ids.length * dim);
  const on = { table: uploadBytes(gpu, table.bytes, dtype), ids: upload(gpu, ids, 'i32'), out };
  const calls = embeddingGather(profile, { ...on, rows: ids.length, dim, vocab, scale });
  expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
  if (limit) expect(calls.length).toBeGreaterThan(2);
  await runKernels(gpu, calls);
  const found = await readF32(gpu, out, ids.length * dim);
  expect(relativeError(found, embeddingGatherReference(table.values, ids, { dim, vocab, scale }))).toBeLessThan(2e-7);
});

test.each(quantDTypes)('gather from %s blocks', async (dtype) => {
  const gpu = await testGpu();
  const { rows: vocab, dim, values, bytes } = await ggufBlocks(dtype);
  const ids = [5, 0, 3, 6, 1];
  const out = emptyOutput(gpu, ids.length * dim);
  const on = { table: uploadBytes(gpu, bytes, dtype), ids: upload(gpu, ids, 'i32'), out };
  await runKernels(gpu, embeddingGather(gpu.profile, { ...on, rows: ids.length, dim, vocab, scale: 1 }));
  const expected = embeddingGatherReference(values, ids, { dim, vocab, scale: 1 });
  expect(relativeError(await readF32(gpu, out, ids.length * dim), expected)).toBeLessThan(2e-7);
});

test.each([
  { vocab: 1, dim: 1, limit: 0 },
  { vocab: 19, dim: 13, limit: 0 },
  { vocab: 301, dim: 24, limit: 6144 },
])('scatter into $vocab × $dim, bindings up to $limit', async ({ vocab, dim, limit }) => {
  const gpu = await testGpu();
  const profile = limit ? withBindingLimit(gpu.profile, limit) : gpu.profile;
  // Ids that come again, and ids outside the table.
  const ids = Array.from({ length: 67 }, (_, i) => ((i * i) % (vocab + 2)) - 1);
  const before = randomArray(vocab * dim, 1);
  const dOut = randomArray(ids.length * dim, 2);
  const dTable = upload(gpu, before);
  const on = { ids: upload(gpu, ids, 'i32'), dOut: upload(gpu, dOut), dTable };
  const calls = embeddingScatterAdd(profile, { ...on, rows: ids.length, dim, vocab, scale });
  expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
  if (limit) expect(calls.length).toBeGreaterThan(2);
  await runKernels(gpu, calls);
  const expected = embeddingScatterAddReference(ids, dOut, before, { dim, vocab, scale });
  expect(relativeError(await readF32(gpu, dTable, vocab * dim), expected)).toBeLessThan(1e-6);
});
