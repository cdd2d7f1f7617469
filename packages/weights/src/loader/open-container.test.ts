import { describe, expect, it } from 'vitest';
import { modelSources } from '../../../../test/support/fixture-sources.js';
import { fixtureBytes, fixtureJson } from '../../../../test/support/safetensors-fixture.js';
import { WeightFileError, WeightSourceError } from '../errors.js';
import { gemmaWeightLoader } from '../registry.js';
import { openSafetensors } from '../safetensors/read.js';
import { safetensorsToBytes, type TensorData } from '../safetensors/write.js';
import { bufferSource, type ByteSource } from '../source/byte-source.js';
import { memorySink } from '../testing/memory-sink.js';
import { rawSafetensors } from '../testing/bytes.js';

const config = await fixtureJson<Record<string, unknown>>('models/gemma3-tiny/config.json');
const weights = await fixtureBytes('models/gemma3-tiny/model.safetensors');
const json = (name: string, value: unknown) =>
  bufferSource(name, new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value)));
const file = (name: string, bytes: Uint8Array) => bufferSource(name, bytes);
const open = (from: readonly ByteSource[]) => gemmaWeightLoader({ from }).open();
const whole = file('model.safetensors', weights);

describe('what ends answers', () => {
  const ids = async (generation: unknown, own: object = {}) => {
    const { model } = await open([
      json('config.json', { ...config, ...own }),
      whole,
      json('generation_config.json', generation),
    ]);
    return model.eosTokenIds;
  };

  it('is what generation_config.json says, then config.json', async () => {
    expect(await ids({ eos_token_id: [1, 106], temperature: 1 })).toEqual([1, 106]);
    expect(await ids({ eos_token_id: 7 }, { eos_token_id: [1, 5] })).toEqual([7]);
    expect(await ids({ bos_token_id: 2 }, { eos_token_id: [1, 5] })).toEqual([1, 5]);
    expect(await ids({ eos_token_id: null }, { eos_token_id: 5 })).toEqual([5]);
    const { model } = await open([json('config.json', config), whole]);
    expect(model.eosTokenIds).toEqual([1]);
  });

  it('holds for the decoder of a multimodal model too', async () => {
    const [description, tensors] = await modelSources('paligemma1-tiny');
    const { paliGemmaWeightLoader } = await import('../registry.js');
    const from = [description!, tensors!, json('generation_config.json', { eos_token_id: [1, 9] })];
    expect((await paliGemmaWeightLoader({ from }).open()).model.eosTokenIds).toEqual([1, 9]);
  });

  it.each(['x', -1, 1.5, [], [1, 'x'], {}, true])('refuses %j', async (value) => {
    await expect(ids({ eos_token_id: value })).rejects.toThrow(/generation_config\.json: its eos_token_id/);
    await expect(ids({ eos_token_id: value })).rejects.toThrow(WeightFileError);
  });

  it('refuses a file that is no JSON', async () => {
    await expect(ids('{')).rejects.toThrow(/generation_config\.json: is not valid JSON/);
  });
});

describe('a folder without a model.safetensors', () => {
  const own = json('config.json', config);
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n';
  it.each<[string, readonly ByteSource[], RegExp]>([
    ['several', [own, file('a.safetensors', weights), file('b.safetensors', weights)], /name one: a\.\S+, b\./],
    ['Python’s', [own, json('pytorch_model.bin', 'x')], /pytorch_model\.bin holds Python’s objects/],
    ['none', [own, json('README.md', 'x')], /there is no model\.safetensors\.$/],
    [
      'an adapter',
      [json('adapter_config.json', {}), json('adapter_model.safetensors', 'x')],
      /an adapter .*base model/,
    ],
  ])('says what there is: %s', async (_, from, message) => {
    await expect(open(from)).rejects.toBeInstanceOf(WeightSourceError);
    await expect(open(from)).rejects.toThrow(message);
  });

  it('or what is in its place', async () => {
    await expect(open([own, json('model.safetensors', pointer)])).rejects.toBeInstanceOf(WeightFileError);
    await expect(open([own, json('model.safetensors', pointer)])).rejects.toThrow(/pointer of Git LFS/);
  });
});

describe('files that another tool has quantised', () => {
  it.each<[string, object, RegExp]>([
    [
      'bitsandbytes',
      { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } },
      /quantised by bitsandbytes \(config\.json: quantization_config\).*unquantised repository.*GGUF/,
    ],
    ['old bitsandbytes', { quantization_config: { load_in_8bit: true } }, /quantised by bitsandbytes/],
    ['GPTQ', { quantization_config: { quant_method: 'gptq', bits: 4 } }, /quantised by GPTQ/],
    ['AWQ', { quantization_config: { quant_method: 'awq', bits: 4 } }, /quantised by AWQ/],
    ['HQQ', { quantization_config: { quant_method: 'hqq' } }, /quantised by HQQ/],
    ['torchao', { quantization_config: { quant_method: 'torchao' } }, /quantised by torchao/],
    ['compressed-tensors', { quantization_config: { quant_method: 'compressed-tensors' } }, /by compressed-tensors/],
    [
      'old compressed-tensors',
      { compression_config: { format: 'x' } },
      /compressed-tensors \(config\.json: compression_config/,
    ],
    ['fp8', { quantization_config: { quant_method: 'fp8' } }, /quantised by an fp8 tool/],
    ['MLX', { quantization: { group_size: 64, bits: 4 } }, /quantised by MLX \(config\.json: quantization\)/],
    ['MLX under both names', { quantization_config: { group_size: 64, bits: 4 } }, /quantised by MLX/],
    ['a tool of tomorrow', { quantization_config: { quant_method: 'new2' } }, /quantised by new2/],
    [
      'of a part',
      { text_config: { quantization_config: { quant_method: 'gptq' } } },
      /GPTQ.*text_config\.quantization_config/,
    ],
  ])('%s, by config.json', async (_, fields, message) => {
    const opening = open([json('config.json', { ...config, ...fields }), whole]);
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toThrow(WeightFileError);
    // The fixture's tensors are plain.
    await expect(opening).rejects.toThrow(/look unquantised: if they are, remove the field/);
  });

  it.each<[string, string, string, RegExp]>([
    [
      'bitsandbytes, 4 bits',
      'm.weight.quant_state.bitsandbytes__nf4',
      'U8',
      /bitsandbytes \(tensor m\.weight\.quant_state/,
    ],
    ['bitsandbytes, 8 bits', 'm.SCB', 'F32', /bitsandbytes/],
    ['GPTQ', 'm.qweight', 'I32', /GPTQ or AWQ \(tensor m\.qweight, I32\)/],
    ['fp8', 'm.weight', 'F8_E4M3', /an fp8 tool \(tensor m\.weight, F8_E4M3\)/],
    ['MLX', 'm.weight', 'U32', /MLX/],
    ['compressed-tensors', 'm.weight_packed', 'I32', /compressed-tensors/],
    ['int8 with scales', 'm.weight_scale', 'BF16', /another tool \(tensor m\.weight_scale/],
  ])('%s, by its tensors where config.json does not say', async (_, name, dtype, message) => {
    const bytes = { U8: 1, F8_E4M3: 1, BF16: 2 }[dtype] ?? 4;
    const tensors = rawSafetensors({ [name]: { dtype, shape: [1], data_offsets: [0, bytes] } }, bytes);
    const opening = open([json('config.json', config), file('model.safetensors', tensors)]);
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.not.toThrow(/remove the field/);
  });

  it('are not those whose field is empty', async () => {
    await open([json('config.json', { ...config, quantization_config: null, quantization: {} }), whole]);
  });
});

describe('a single file and shards', () => {
  const shardNames = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

  /** The model as two shards, all values `times` as large, and their index. */
  async function sharded(times: number) {
    const { tensors } = await openSafetensors(whole);
    const parts = [new Map<string, TensorData>(), new Map<string, TensorData>()];
    const map: Record<string, string> = {};
    let i = 0;
    for (const { name, shape, source, offset, byteLength } of tensors.values()) {
      const part = i++ % 2;
      const bytes = await source.read(offset, byteLength);
      const values = new Float32Array(bytes.slice().buffer).map((value) => value * times);
      parts[part]!.set(name, { dtype: 'f32', shape, bytes: new Uint8Array(values.buffer) });
      map[name] = shardNames[part]!;
    }
    const shards = await Promise.all(
      parts.map(async (part, n) => file(shardNames[n]!, await safetensorsToBytes(part))),
    );
    return { shards, map, index: json('model.safetensors.index.json', { metadata: {}, weight_map: map }) };
  }
  const description = json('config.json', config);
  async function norm(opened: Awaited<ReturnType<typeof open>>) {
    const { sink, params } = memorySink();
    await opened.load(opened.entries, sink);
    return params.get('finalNorm.weight');
  }

  it('the single file is read where both are there, as by transformers, and that is told', async () => {
    const { shards, index } = await sharded(0);
    const alone = await open([description, whole]);
    const both = await open([description, whole, index, ...shards]);
    expect(await norm(both)).toEqual(await norm(alone));
    expect(both.notices.join()).toMatch(/model\.safetensors is read.*not the shards.*index\.json/);
    expect(alone.notices).toEqual([]);
  });

  it('the shards where there is no single file', async () => {
    const { shards, index } = await sharded(2);
    const found = await norm(await open([description, index, ...shards]));
    expect(found).toEqual(await norm(await open([description, index, ...shards, file('other.safetensors', weights)])));
    expect(found).not.toEqual(await norm(await open([description, whole])));
  });

  it('names what is missing and what does not belong together', async () => {
    const { shards, index, map } = await sharded(1);
    await expect(open([description, index])).rejects.toThrow(
      /no model-00001-of-00002\.safetensors, model-00002-of-00002.*2 of 2 shards/,
    );
    await expect(open([description, index, shards[0]!])).rejects.toThrow(/no model-00002-of-00002.*1 of 2 shards/);
    await expect(open([description, shards[0]!])).rejects.toThrow(
      /one of several shards, but there is no model\.safetensors\.index/,
    );
    await expect(open([description, ...shards])).rejects.toBeInstanceOf(WeightSourceError);
    const swapped = Object.fromEntries(Object.keys(map).map((name) => [name, shardNames[0]]));
    await expect(
      open([description, json('model.safetensors.index.json', { weight_map: swapped }), ...shards]),
    ).rejects.toThrow(/which the files do not hold/);
    for (const bad of [{}, { weight_map: {} }, { weight_map: { a: '../up.safetensors' } }, { weight_map: { a: 1 } }])
      await expect(open([description, json('model.safetensors.index.json', bad), ...shards])).rejects.toThrow(
        /weight_map/,
      );
  });

  it('refuses a config.json that names weights of its own', async () => {
    const other = json('config.json', { ...config, transformers_weights: 'other.safetensors' });
    await expect(open([other, whole])).rejects.toThrow(/"other\.safetensors" \(transformers_weights\)/);
  });
});
