import { expect, it } from 'vitest';
import { listCachedWeights, removeCachedWeights } from './weight-cache.js';

it('has nothing to list or to remove where there is no private file system', async () => {
  expect(await listCachedWeights()).toEqual([]);
  await removeCachedWeights();
  await removeCachedWeights('google/gemma-3-270m@main');
});
