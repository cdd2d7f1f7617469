import { expect, test } from 'vitest';
import { DatasetError } from '../data/errors.js';
import { ResumeMismatchError } from '../errors/errors.js';
import { SeenPictures } from './seen-pictures.js';

const bytes = (...values: number[]) => Uint8Array.from(values);

/** Reads pictures by name as they are in `disk`; files at hand by their bytes. */
function reader(pictures: SeenPictures, disk: Record<string, Uint8Array>) {
  const read = pictures.noting(
    async (image) => (typeof image === 'string' ? disk[image]! : new Uint8Array(await image.arrayBuffer())),
    (file) => (file === 'rows.jsonl' ? 'data' : 'evalData'),
  );
  return (image: string | Blob, { file = 'rows.jsonl', line = 1, index = 0 } = {}) =>
    read(image, { file, line, index });
}

const goingOn = (from: SeenPictures) => new SeenPictures({ location: 'out', pictures: from.fingerprints() });

test('a picture with other bytes than in the run before is refused by name; the others are read', async () => {
  const before = new SeenPictures();
  const disk = { 'a.png': bytes(1, 2, 3), 'b.png': bytes(4) };
  await reader(before, disk)('a.png');
  await reader(before, disk)('b.png', { line: 2 });
  const read = reader(goingOn(before), { ...disk, 'b.png': bytes(5) });
  expect(await read('a.png')).toEqual(bytes(1, 2, 3));
  const error = await read('b.png', { line: 7, index: 1 }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ResumeMismatchError);
  expect((error as Error).message).toMatch(
    /^The run in out .*\n {2}picture b\.png \(data, row 7, picture 2\): saved "[0-9a-f]{16}", now "[0-9a-f]{16}"$/,
  );
});

test.each([
  ['one byte', bytes(1, 2, 3, 5)],
  ['one byte more', bytes(1, 2, 3, 4, 0)],
  ['no bytes', bytes()],
])('another is what differs in %s', async (_, changed) => {
  const before = new SeenPictures();
  await reader(before, { a: bytes(1, 2, 3, 4) })('a');
  await reader(goingOn(before), { a: bytes(1, 2, 3, 4) })('a');
  await expect(reader(goingOn(before), { a: changed })('a')).rejects.toThrow(ResumeMismatchError);
});

test('a picture is known by its name, wherever its row stands; of two sources each has its own', async () => {
  const before = new SeenPictures();
  await reader(before, { a: bytes(1) })('a', { line: 1 });
  await reader(before, { a: bytes(2) })('a', { line: 1, file: 'held.jsonl' });
  const again = goingOn(before);
  await reader(again, { a: bytes(1) })('a', { line: 40 });
  await reader(again, { a: bytes(2) })('a', { line: 40, file: 'held.jsonl' });
  await expect(reader(again, { a: bytes(1) })('a', { file: 'held.jsonl' })).rejects.toThrow(
    /picture a \(evalData, row 1/,
  );
});

test('a file at hand is known by its place', async () => {
  const before = new SeenPictures();
  await reader(before, {})(new Blob([bytes(1)]), { line: 3 });
  await reader(before, {})(new Blob([bytes(2)]), { line: 3, index: 1 });
  await reader(goingOn(before), {})(new Blob([bytes(2)]), { line: 3, index: 1 });
  await expect(reader(goingOn(before), {})(new Blob([bytes(2)]), { line: 3 })).rejects.toThrow(
    /picture a file at hand \(data, row 3, picture 1\)/,
  );
});

test('a picture that was not read before may be any; it is kept from then on, with those before', async () => {
  const first = new SeenPictures();
  await reader(first, { a: bytes(1) })('a');
  const second = goingOn(first);
  await reader(second, { b: bytes(2) })('b');
  const third = goingOn(second);
  await expect(reader(third, { a: bytes(9) })('a')).rejects.toThrow(ResumeMismatchError);
  await expect(reader(third, { b: bytes(9) })('b')).rejects.toThrow(ResumeMismatchError);
  expect(Object.keys(third.fingerprints())).toHaveLength(2);
});

test('a picture that changes while the run goes on ends it, and is named', async () => {
  const disk: Record<string, Uint8Array> = { 'a.png': bytes(1) };
  const read = reader(new SeenPictures(), disk);
  await read('a.png');
  await read('a.png');
  disk['a.png'] = bytes(2);
  await expect(read('a.png', { line: 4 })).rejects.toThrow(DatasetError);
  await expect(read('a.png', { line: 4 })).rejects.toThrow(/rows\.jsonl:4: the picture a\.png is another now/);
});

test('of a URL its secrets are neither kept nor told; a picture in its row is part of the data', async () => {
  const before = new SeenPictures();
  const url = 'https://host/a.png?signature=secret';
  await reader(before, { [url]: bytes(1) })(url);
  await reader(before, { 'data:image/png;base64,AA': bytes(1) })('data:image/png;base64,AA');
  expect(JSON.stringify(before.fingerprints())).toMatch(/^\{"[0-9a-f]{16}":"[0-9a-f]{16}"\}$/);
  const error = await reader(goingOn(before), { [url]: bytes(2) })(url).catch((reason: unknown) => reason);
  expect(String(error)).toContain('https://host/a.png');
  expect(String(error)).not.toContain('secret');
});
