import { modelWeightLoader } from '@lapidary/weights';
import { fixtureBytes, fixtureJson } from '../../support/safetensors-fixture.js';
import { brokenJson, type Json } from '../mutate-json.js';
import { joined } from '../byte-writer.js';
import { encode, type FuzzReader, mustHold, sourceOf } from '../reader.js';

type Header = { [name: string]: { dtype: string; shape: number[]; data_offsets: [number, number] } };

/** Bytes of data, u32, and the text of a header. */
const shardOf = (header: string, size: number) => joined(new Uint8Array(Uint32Array.of(size).buffer), encode(header));

/** A model in two shards with its index and config.json, as a folder of a stranger's holds it. */
export async function checkpointReader(): Promise<FuzzReader> {
  const config = await fixtureJson<Json>('models/gemma3-tiny/config.json');
  const bytes = await fixtureBytes('models/gemma3-tiny/model.safetensors');
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Header;
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  return {
    name: 'checkpoint',
    make(dice) {
      const half = dice.below(names.length);
      const sizes = [0, 0];
      const headers: [{ [key: string]: Json }, { [key: string]: Json }] = [{}, {}];
      const map: { [key: string]: Json } = {};
      names.forEach((name, i) => {
        const shard = i < half ? 0 : 1;
        const {
          dtype,
          shape,
          data_offsets: [from, to],
        } = header[name] as Header[string];
        const at = sizes[shard] as number;
        headers[shard][name] = { dtype, shape, data_offsets: [at, at + to - from] };
        sizes[shard] = at + to - from;
        map[name] = shards[shard];
      });
      const broken = dice.below(5);
      const index = { metadata: { total_size: 1 }, weight_map: map };
      const text = (value: Json, which: number) => (which === broken ? brokenJson(value, dice) : JSON.stringify(value));
      const files: Record<string, Uint8Array> = {
        'config.json': encode(text(config, 0)),
        'model.safetensors.index.json': encode(text(index, 1)),
        [shards[0]]: shardOf(text(headers[0], 2), sizes[0] as number),
        [shards[1]]: shardOf(text(headers[1], 3), sizes[1] as number),
      };
      if (dice.chance(0.1)) delete files[dice.pick(Object.keys(files))];
      return files;
    },
    async read(files) {
      const sources = Object.entries(files).map(([name, content]) => {
        if (!name.endsWith('.safetensors')) return sourceOf(name, content);
        // The data are zeros that take no memory: its size stands before the header.
        const size = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
        const start = new Uint8Array(8 + content.length - 4);
        new DataView(start.buffer).setBigUint64(0, BigInt(content.length - 4), true);
        start.set(content.subarray(4), 8);
        return sourceOf(name, start, start.length + size);
      });
      const weights = await modelWeightLoader({ from: sources }).open();
      mustHold(weights.entries.size > 0, 'it holds nothing');
      await weights.close();
    },
  };
}
