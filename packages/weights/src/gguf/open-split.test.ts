import { expect, it } from 'vitest';
import { fixtureSources } from '../../../../test/support/fixture-sources.js';
import { fixtureBytes } from '../../../../test/support/safetensors-fixture.js';
import { gemmaWeightLoader } from '../registry.js';
import { bufferSource } from '../source/byte-source.js';
import { gguf } from '../testing/bytes.js';
import { memorySink } from '../testing/memory-sink.js';
import { isGgufPart, openGgufParts } from './open-split.js';

const names = [1, 2, 3].map((no) => `gemma3-tiny-0000${no}-of-00003.gguf`);
const parts = await fixtureSources(...names.map((name) => `gguf/split/${name}`));

async function bytesOf(from: Parameters<typeof gemmaWeightLoader>[0]['from']) {
  const weights = await gemmaWeightLoader({ from }).open();
  const { sink, params } = memorySink();
  await weights.load(weights.entries, sink);
  return { config: weights.config, metadata: Object.keys(weights.metadata), params };
}

it('reads the parts of a split model as the whole', async () => {
  const whole = await bytesOf(await fixtureSources('gguf/gemma3-tiny-f32.gguf'));
  const split = await bytesOf(parts);
  expect(split.config).toEqual(whole.config);
  expect(split.params).toEqual(whole.params);
  // Any part says where the others are; the first has the metadata.
  const open = async (name: string) => parts[names.indexOf(name)]!;
  const tensors = [...(await openGgufParts(names[0]!, open)).tensors.keys()];
  for (const name of names) {
    const found = await openGgufParts(name, open);
    expect(found.metadata['tokenizer.ggml.model']).toBe('llama');
    expect([...found.tensors.keys()]).toEqual(tensors);
  }
});

it('names the part that is missing', async () => {
  await expect(bytesOf(parts.slice(0, 2))).rejects.toThrow(/no gemma3-tiny-00003-of-00003\.gguf.*split/);
  await expect(bytesOf(parts.slice(1))).rejects.toThrow(/no gemma3-tiny-00001-of-00003\.gguf.*split/);
  await expect(bytesOf([parts[1]!])).rejects.toThrow(/no gemma3-tiny-00001-of-00003\.gguf.*split/);
});

it('refuses a part whose name does not say where the others are', async () => {
  const lone = bufferSource('tiny.gguf', await fixtureBytes(`gguf/split/${names[0]}`));
  await expect(bytesOf([lone])).rejects.toThrow(/tiny\.gguf: is one of 3 parts \(split\.count\)/);
});

/** A part with one tensor. */
function part(tensor: string, values: Readonly<Record<string, number>>): Uint8Array {
  const file = gguf().header(1, Object.keys(values).length);
  for (const [key, value] of Object.entries(values)) file.string(key).u32(4).u32(value);
  return file.tensor(tensor, [1], 0, 0).align().bytes(4);
}

it.each<[string, string, Record<string, number>, RegExp]>([
  ['a part under the name of another', 'b', { 'split.no': 0, 'split.count': 2 }, /m-00002.*part 1 of 2.*not 2 of 2/],
  ['a part of another split', 'b', { 'split.no': 1, 'split.count': 3 }, /m-00002.*part 2 of 3/],
  ['a part that says nothing', 'b', {}, /m-00002.*part 1 of 1/],
  ['a tensor twice', 'a', { 'split.no': 1, 'split.count': 2 }, /m-00002.*holds a, which an earlier part/],
  ['a tensor too few', 'b', { 'split.no': 1, 'split.count': 2 }, /m-00001.*hold 3 tensors.*but they hold 2/],
])('refuses %s', async (_, tensor, values, message) => {
  const first = part('a', { 'split.no': 0, 'split.count': 2, 'split.tensors.count': 3 });
  const second = part(tensor, values);
  const open = async (name: string) => bufferSource(name, name.includes('00001') ? first : second);
  await expect(openGgufParts('m-00001-of-00002.gguf', open)).rejects.toThrow(message);
});

it('knows the name of a part', () => {
  expect(isGgufPart('Q4/m-00001-of-00003.gguf')).toBe(true);
  for (const name of ['m-00001-of-00001.gguf', 'm.gguf', 'm-1-of-3.gguf']) expect(isGgufPart(name)).toBe(false);
});
