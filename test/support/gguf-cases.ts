import { createMemoryStore, exportAdapter, type WrittenForm } from '@lapidary/trainer';
import {
  bufferSource,
  type ByteSource,
  encodeFloats,
  type GgufQuant,
  modelWeightLoader,
  openSafetensors,
  safetensorsToBytes,
  type TensorData,
} from '@lapidary/weights';
import { adapterSources, fixtureSources, modelSources } from './fixture-sources.js';
import { fixtureBytes, fixtureJson } from './safetensors-fixture.js';

/** A model for llama.cpp that gguf-py has judged, with the logits of transformers: test/fixtures/gguf-exports/<name>.*. */
export interface GgufCase {
  readonly name: string;
  /** Of test/fixtures. */
  readonly adapter: string;
  /** Of test/fixtures/models; of test/fixtures where it is a GGUF. */
  readonly model: string;
  /** What of its configuration is such that a GGUF can say it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Of test/fixtures. Default: the tokenizer of 600 words in Hugging Face's form. */
  readonly tokenizer?: string;
  /** Whether the LoRA can stand beside the model. */
  readonly isLora: boolean;
}

/** What every GGUF of a Gemma 3 has: queries scaled by the size of a head, local layers with their own base. */
const gemma3 = {
  query_pre_attn_scalar: 16,
  rope_local_base_freq: 10000,
  rope_parameters: {
    full_attention: { rope_type: 'linear', rope_theta: 1000, factor: 8 },
    sliding_attention: { rope_type: 'default', rope_theta: 10000 },
  },
};

/** What every GGUF of a Gemma 4 has: a quarter of the pairs of global heads turn, and a row of inputs for each word. */
const gemma4 = {
  vocab_size_per_layer_input: 600,
  final_logit_softcapping: 4.5,
  rope_parameters: {
    full_attention: { rope_type: 'proportional', rope_theta: 1000, partial_rotary_factor: 0.25 },
    sliding_attention: { rope_type: 'default', rope_theta: 100 },
  },
};

export const ggufCases: readonly GgufCase[] = [
  { name: 'gemma1', adapter: 'adapters/all-linear', model: 'gemma1-tiny', config: {}, isLora: true },
  {
    name: 'gemma2-dora',
    adapter: 'adapters/dora',
    model: 'gemma2-tiny',
    config: { query_pre_attn_scalar: 8, attn_logit_softcapping: 5.5, final_logit_softcapping: 4.5 },
    isLora: false,
  },
  { name: 'gemma3', adapter: 'adapters/patterns', model: 'gemma3-tiny', config: gemma3, isLora: true },
  { name: 'gemma3-rslora', adapter: 'adapters/patterns-rslora', model: 'gemma3-tiny', config: gemma3, isLora: true },
  { name: 'gemma4', adapter: 'peft/gemma4-layers', model: 'gemma4-tiny', config: gemma4, isLora: true },
  {
    name: 'sentencepiece',
    adapter: 'adapters/some-layers',
    model: 'gemma3-tiny',
    config: gemma3,
    tokenizer: 'tokenizer-paligemma/tokenizer.model',
    isLora: true,
  },
  { name: 'of-q4_0', adapter: 'gguf-bases/q4_0-adapter', model: 'gguf-bases/q4_0.gguf', config: {}, isLora: true },
  {
    name: 'of-q8_0',
    adapter: 'gguf-bases/q8_0-adapter',
    model: 'gguf/gemma3-tiny-q8_0.gguf',
    config: {},
    isLora: true,
  },
];

export const isGgufBase = ({ model }: GgufCase) => model.endsWith('.gguf');

/** The base of a case, with a tokenizer and a word for each of its tokens, all of which llama.cpp wants. */
export async function ggufBase(ggufCase: GgufCase): Promise<ByteSource[]> {
  const { model, config, tokenizer } = ggufCase;
  if (isGgufBase(ggufCase)) return fixtureSources(model);
  const [, weights] = await modelSources(model);
  const json = await fixtureJson<object>(`models/${model}/config.json`);
  const vocab = tokenizer === undefined ? 600 : 1752;
  return [
    bufferSource('config.json', new TextEncoder().encode(JSON.stringify({ ...json, ...config, vocab_size: vocab }))),
    bufferSource('model.safetensors', await withWords(weights!, vocab)),
    ...(await fixtureSources(
      ...(tokenizer === undefined ? ['tokenizer/tokenizer.json', 'tokenizer/tokenizer_config.json'] : [tokenizer]),
    )),
  ];
}

/** Tables with a row for each word. */
const tables = ['model.embed_tokens.weight', 'model.embed_tokens_per_layer.weight'];

/** Weights whose tables go on with other words like the first. */
async function withWords(weights: ByteSource, vocab: number): Promise<Uint8Array> {
  const tensors = new Map<string, TensorData>();
  for (const { name, shape, source, offset, byteLength } of (await openSafetensors(weights)).tensors.values())
    tensors.set(name, { dtype: 'f32', shape, bytes: await source.read(offset, byteLength) });
  for (const name of tables.filter((table) => tensors.has(table))) {
    const { shape, bytes } = tensors.get(name)!;
    const [words, size] = shape as [number, number];
    const values = new Float32Array((bytes as Uint8Array).slice().buffer);
    const longer = Float32Array.from({ length: vocab * size }, (_, i) =>
      i < values.length ? values[i]! : values[i % values.length]! * (0.5 + (Math.floor(i / size / words) % 7) / 20),
    );
    tensors.set(name, { dtype: 'f32', shape: [vocab, size], bytes: encodeFloats(longer, 'f32') });
  }
  return safetensorsToBytes(tensors, { format: 'pt' });
}

/** A file that the product writes of a case. */
export async function ggufFile(
  ggufCase: GgufCase,
  form: WrittenForm & { readonly file: string },
  adapter?: readonly ByteSource[],
) {
  const out = createMemoryStore();
  const { notices } = await exportAdapter({
    adapter: adapter ?? (await adapterSources(ggufCase.adapter)),
    base: modelWeightLoader({ from: await ggufBase(ggufCase) }),
    out,
    form,
  });
  return { name: form.file, bytes: await out.read(form.file), notices };
}

export const ggufModelFile = (ggufCase: GgufCase, quant: GgufQuant) =>
  ggufFile(ggufCase, { to: 'gguf', file: `${ggufCase.name}-${quant}.gguf`, quant });
export const ggufLoraFile = (ggufCase: GgufCase) =>
  ggufFile(ggufCase, { to: 'gguf-lora', file: `${ggufCase.name}-lora.gguf`, type: 'f32' });

/** The base alone: the GGUF that it is, or with an adapter that changes nothing. */
export async function ggufBaseFile(ggufCase: GgufCase): Promise<{ readonly name: string; readonly bytes: Uint8Array }> {
  if (isGgufBase(ggufCase)) return { name: `${ggufCase.name}-base.gguf`, bytes: await fixtureBytes(ggufCase.model) };
  const sources = await adapterSources(ggufCase.adapter);
  const zeroed = await Promise.all(
    sources.map(async (source) => {
      if (!source.name.endsWith('.safetensors')) return source;
      const bytes = await source.read(0, source.size);
      const headerEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
      return bufferSource(source.name, bytes.fill(0, headerEnd));
    }),
  );
  const file = `${ggufCase.name}-base.gguf`;
  return ggufFile(ggufCase, { to: 'gguf', file, quant: 'f32' }, zeroed);
}
