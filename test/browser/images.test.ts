// Pictures as Pillow decodes them, and as the image processors of transformers and of big_vision (JAX) prepare them
// (test/fixtures/images).
import { decodeImage, type ImagePreset, preprocessImage, resizeImage, type RgbImage } from '@lapidary/gemma';
import { bufferSource, openSafetensors, type SafetensorsFile } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';
import { sameBytes } from '../support/same-bytes.js';
import { fixtureBytes, fixtureJson } from '../support/safetensors-fixture.js';

const pictures = Object.keys(await fixtureJson<Record<string, unknown>>('images/pictures.json'));
const open = async (path: string) => openSafetensors(bufferSource(path, await fixtureBytes(path)));
const decoded = await open('images/decoded.safetensors');
const processed = await open('images/processed.safetensors');

async function bytesOf(file: SafetensorsFile, name: string): Promise<Uint8Array> {
  const { source, offset, byteLength } = file.tensors.get(name)!;
  return (await source.read(offset, byteLength)).slice();
}

const pillows = async (name: string): Promise<RgbImage> => {
  const [height, width] = decoded.tensors.get(name)!.shape as [number, number, number];
  return { width, height, data: await bytesOf(decoded, name) };
};

describe.each(pictures)('%s', (name) => {
  it('decodes to what Pillow decodes it to, upright', async () => {
    const expected = await pillows(decoded.tensors.has(`${name}/upright`) ? `${name}/upright` : name);
    const image = await decodeImage(await fixtureBytes(`images/${name}`), { name });
    expect({ width: image.width, height: image.height }).toEqual({ width: expected.width, height: expected.height });
    expect(sameBytes(image.data, expected.data)).toBe(true);
  });
});

const sourceOf: Record<string, ImagePreset> = {
  transformers: 'hugging-face',
  google: 'big-vision',
  'pil-bilinear': 'gemma3-hugging-face',
};
const prepared = [...processed.tensors.keys()].filter((name) => !name.endsWith('.bytes'));

it.each(prepared)('prepares %s', async (key) => {
  const [, name, source, size] = /^(.*)\/(.*)\.(\d+)$/.exec(key)!;
  // transformers lays transparent pictures on white.
  const onWhite = `${name}/on-white`;
  const image = await pillows(source === 'transformers' && decoded.tensors.has(onWhite) ? onWhite : name!);
  const found = preprocessImage(image, { preset: sourceOf[source!]!, imageSize: Number(size) });
  const expected = new Float32Array((await bytesOf(processed, key)).buffer);
  expect(found).toHaveLength(expected.length);
  let worst = 0;
  for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - found[i]!));
  // One level of 8 bits is 0.0078. JAX's positions are f32: a last bit among 300 pixels moves a hard edge by 1.5e-5.
  expect(worst).toBeLessThanOrEqual(source === 'google' ? 2e-5 : 1.2e-7);
});

it.each([...processed.tensors.keys()].filter((name) => name.endsWith('.bytes')))('resizes %s', async (key) => {
  const [, name, source, size] = /^(.*)\/(.*)\.(\d+)\.bytes$/.exec(key)!;
  const method = source === 'transformers' ? 'pil-bicubic' : 'pil-bilinear';
  const { data } = resizeImage(await pillows(name!), { width: Number(size), height: Number(size), method });
  expect(sameBytes(data, await bytesOf(processed, key))).toBe(true);
});

it.each([
  ['truncated.jpg', 'truncated'],
  ['truncated.png', 'truncated'],
  ['not-a-picture.png', 'not-a-picture'],
])('refuses %s', async (name, problem) => {
  const bytes = await fixtureBytes(`images/bad/${name}`);
  await expect(decodeImage(bytes, { name })).rejects.toMatchObject({ name: 'ImageError', file: name, problem });
});
