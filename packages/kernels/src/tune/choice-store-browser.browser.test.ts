import { expect, it } from 'vitest';
import { openChoiceStore } from './choice-store-browser.js';

it('keeps texts in a database of the page, also for those who open it later', async () => {
  const store = openChoiceStore('lapidary-test');
  expect(await store.read('gpu')).toBeUndefined();
  await store.write('gpu', 'first');
  await store.write('gpu', 'second');
  expect(await openChoiceStore('lapidary-test').read('gpu')).toBe('second');
  expect(await store.read('other')).toBeUndefined();
  indexedDB.deleteDatabase('lapidary-test');
});
