import { describe, expect, it } from 'vitest';
import { checkFlatbuffer, countIn, type TableShape } from './flatbuffer.js';

/** A table at byte 12 whose one field, at byte 16, points as many bytes on as `offset` says; then `rest`. */
function message(offset: number, rest: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(20 + 4 * rest.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 12, true);
  view.setUint16(4, 6, true);
  view.setUint16(6, 8, true);
  view.setUint16(8, 4, true);
  view.setInt32(12, 8, true);
  view.setUint32(16, offset, true);
  rest.forEach((value, i) => {
    view.setUint32(20 + 4 * i, value, true);
  });
  return bytes;
}

const itself: TableShape = [{ table: () => itself }];
const many: TableShape = [{ tables: () => many }];

describe('checkFlatbuffer', () => {
  it('lets pass what stays within', () => {
    checkFlatbuffer(message(4, [3, 1, 2, 3]), [{ bytesEach: 4 }]);
    expect(countIn(message(4, [3, 1, 2, 3]), 0)).toBe(3);
    checkFlatbuffer(message(4, [3, 0x636261]), ['text']);
    checkFlatbuffer(message(4, [0]), [8, 'text']);
    expect(countIn(message(4, [3, 1, 2, 3]), 1)).toBe(0);
  });

  it.each<[string, Uint8Array, TableShape, RegExp]>([
    ['a list longer than the message', message(4, [0xffff_ffff]), [{ bytesEach: 16 }], /points outside/],
    ['a list of tables that are not there', message(4, [2 ** 29]), [{ tables: () => [] }], /points outside/],
    ['an offset beyond the end', message(2 ** 31, []), ['text'], /points outside/],
    ['a table within itself', message(0xffff_fffc, []), itself, /points outside|nested/],
    [
      'one table many times',
      message(4, [16, ...Array.from({ length: 16 }, (_, i) => 2 ** 32 - 12 - 4 * i)]),
      many,
      /outside|more than it holds|nested/,
    ],
    ['nothing', new Uint8Array(), [], /points outside/],
    ['a table before the beginning', Uint8Array.of(4, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f), [], /points outside/],
  ])('refuses %s', (_, bytes, shape, message) => expect(() => checkFlatbuffer(bytes, shape)).toThrow(message));

  it('refuses a type that is not known', () => {
    const bytes = new Uint8Array(28);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 16, true);
    for (const [i, value] of [8, 12, 8, 4].entries()) view.setUint16(4 + 2 * i, value, true);
    view.setInt32(16, 12, true);
    view.setUint8(24, 99);
    expect(() => checkFlatbuffer(bytes, [1, { oneOf: { 1: [] } }])).toThrow(/type that is not known \(99\)/);
  });
});
