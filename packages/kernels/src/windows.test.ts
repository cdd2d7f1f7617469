import { expect, test } from 'vitest';
import { BindingLimitError, rowWindows } from './windows.js';

test('what fits is one window', () => {
  expect(rowWindows(10, [100, 4], 1000)).toEqual([{ start: 0, count: 10 }]);
});

test.each([
  { rows: 1000, bytes: [12, 4], limit: 4096 },
  { rows: 333, bytes: [26], limit: 8192 },
  { rows: 65, bytes: [256], limit: 512 },
  { rows: 300, bytes: [18, 4], limit: 2310 },
])('$rows rows of $bytes bytes in bindings of $limit', ({ rows, bytes, limit }) => {
  const windows = rowWindows(rows, bytes, limit);
  expect(windows.length).toBeGreaterThan(1);
  let next = 0;
  for (const { start, count } of windows) {
    expect(start).toBe(next);
    expect(count).toBeGreaterThan(0);
    for (const b of bytes) {
      expect((start * b) % 256).toBe(0);
      expect(count * b).toBeLessThanOrEqual(limit);
    }
    next = start + count;
  }
  expect(next).toBe(rows);
});

test('rows that never fit are an error that says so', () => {
  expect(() => rowWindows(10, [4096], 1024)).toThrow(BindingLimitError);
  expect(() => rowWindows(1000, [4], 128)).toThrow(/do not fit a binding of 128 bytes/);
});
