import { gemmaConfigFromHf, modelOf } from '@lapidary/gemma';
import { readPeftAdapter } from '@lapidary/weights';
import { fixtureBytes, fixtureJson } from '../../support/safetensors-fixture.js';
import { brokenBytes } from '../byte-writer.js';
import { brokenJson, type Json } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold, sourcesOf } from '../reader.js';
import { safetensorsFile } from './safetensors.js';

type Header = { [name: string]: { dtype: string; shape: number[]; data_offsets: [number, number] } };

/** A LoRA adapter as PEFT writes it: few of the fixture's tensors, so that most inputs are read to their end. */
export async function adapterReader(): Promise<FuzzReader> {
  const config = await fixtureJson<Json>('curves/gemma3-tiny/lora/final/adapter_config.json');
  const bytes = await fixtureBytes('curves/gemma3-tiny/lora/final/adapter_model.safetensors');
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Header;
  const names = Object.keys(header).filter((name) => /layers\.0\.(self_attn\.q_proj|mlp\.up_proj)/.test(name));
  const model = modelOf(gemmaConfigFromHf(await fixtureJson('models/gemma3-tiny/config.json')));
  return {
    name: 'adapter',
    make(dice) {
      const small: { [name: string]: Json } = {};
      let at = 0;
      for (const name of names) {
        const {
          dtype,
          shape,
          data_offsets: [from, to],
        } = header[name] as Header[string];
        small[name] = { dtype, shape, data_offsets: [at, at + to - from] };
        at += to - from;
      }
      const isTensors = dice.chance(0.4);
      return {
        'adapter_config.json': isTensors
          ? encode(JSON.stringify(config))
          : brokenBytes(encode(brokenJson(config, dice)), dice),
        'adapter_model.safetensors': safetensorsFile(
          isTensors ? brokenJson(small, dice) : JSON.stringify(small),
          new Uint8Array(at),
        ),
      };
    },
    async read(files) {
      const adapter = await readPeftAdapter(sourcesOf(files), { model });
      mustHold(adapter.tensors.size + adapter.params.size > 0, 'it holds nothing');
      for (const [linear, { rank, scale }] of adapter.updates) {
        mustHold(Number.isSafeInteger(rank) && rank > 0, `the rank of ${linear} is ${rank}`);
        mustHold(Number.isFinite(scale), `the scale of ${linear} is ${scale}`);
      }
      mustHold(Number.isFinite(adapter.dropout), 'its dropout is no number');
    },
  };
}
