import { describe, expect, it } from 'vitest';
import { fileOfDataUrl } from '../examples/finetune-browser/src/session/data-url.js';

describe('fileOfDataUrl', () => {
  it.each([
    ['data:image/png;base64,iVBORw==', 'image/png', [0x89, 0x50, 0x4e, 0x47]],
    ['data:;base64,AP8=', '', [0, 255]],
    ['data:image/svg+xml;charset=utf-8;base64,PA==', 'image/svg+xml', [60]],
    ['data:image/webp;base64,', 'image/webp', []],
  ])('reads %s', async (url, type, bytes) => {
    const file = fileOfDataUrl(url, 'a picture');
    expect([file?.name, file?.type]).toEqual(['a picture', type]);
    expect([...new Uint8Array(await file!.arrayBuffer())]).toEqual(bytes);
  });

  it.each(['data:image/png,raw', 'data:image/png;base64,no*base64', 'https://example.test/a.png', 'DATA:;base64', ''])(
    'gives nothing for %s',
    (url) => expect(fileOfDataUrl(url, 'a picture')).toBeUndefined(),
  );
});
