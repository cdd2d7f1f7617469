import { bufferSource, type ByteSource } from '@lapidary/weights';
import { fixtureBytes } from './safetensors-fixture.js';

/** Files below `test/fixtures` as a loader takes them, each by its own name, in Node and in a browser. */
export function fixtureSources(...paths: string[]): Promise<ByteSource[]> {
  return Promise.all(paths.map(async (path) => bufferSource(path.split('/').pop()!, await fixtureBytes(path))));
}

/** A tiny model of `test/fixtures/models`. */
export const modelSources = (name: string): Promise<ByteSource[]> =>
  fixtureSources(`models/${name}/config.json`, `models/${name}/model.safetensors`);

/** gemma3-tiny, or another of 600 words, with the fixture tokenizer of as many. */
export const chatModelSources = async (name = 'gemma3-tiny'): Promise<ByteSource[]> => [
  ...(await modelSources(name)),
  ...(await fixtureSources('tokenizer/tokenizer.json', 'tokenizer/tokenizer_config.json')),
];

/** An adapter that PEFT wrote. */
export const adapterSources = (folder: string): Promise<ByteSource[]> =>
  fixtureSources(`${folder}/adapter_config.json`, `${folder}/adapter_model.safetensors`);
