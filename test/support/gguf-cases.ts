import { createMemoryStore, exportAdapter, type WrittenForm } from '@lapidary/trainer';
import { bufferSource, type ByteSource, type GgufQuant, modelWeightLoader } from '@lapidary/weights';
import { adapterSources, fixtureSources, modelSources } from './fixture-sources.js';

/** A model for llama.cpp that gguf-py has judged, with the logits of transformers: test/fixtures/gguf-exports/<name>.*. */
export interface GgufCase {
  readonly name: string;
  /** Of test/fixtures. */
  readonly adapter: string;
  readonly model: string;
  /** What of its configuration is such that a GGUF can say it. */
  readonly config: Readonly<Record<string, unknown>>;
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

export const ggufCases: readonly GgufCase[] = [
  { name: 'gemma1', adapter: 'adapters/all-linear', model: 'gemma1-tiny', config: {}, isLora: true },
  {
    name: 'gemma2-dora',
    adapter: 'adapters/dora',
    model: 'gemma2-tiny',
    config: { query_pre_attn_scalar: 8 },
    isLora: false,
  },
  { name: 'gemma3', adapter: 'adapters/patterns', model: 'gemma3-tiny', config: gemma3, isLora: true },
  { name: 'gemma3-rslora', adapter: 'adapters/patterns-rslora', model: 'gemma3-tiny', config: gemma3, isLora: true },
];

/** The base of a case, with the fixture tokenizer. */
export async function ggufBase({ model, config }: GgufCase): Promise<ByteSource[]> {
  const sources = [
    ...(await modelSources(model)),
    ...(await fixtureSources('tokenizer/tokenizer.json', 'tokenizer/tokenizer_config.json')),
  ];
  return Promise.all(
    sources.map(async (source) => {
      if (source.name !== 'config.json') return source;
      const json = JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as object;
      return bufferSource(source.name, new TextEncoder().encode(JSON.stringify({ ...json, ...config })));
    }),
  );
}

/** A file that the product writes of a case. */
export async function ggufFile(ggufCase: GgufCase, form: WrittenForm & { readonly file: string }) {
  const out = createMemoryStore();
  const { notices } = await exportAdapter({
    adapter: await adapterSources(ggufCase.adapter),
    base: modelWeightLoader({ from: await ggufBase(ggufCase) }),
    out,
    form,
  });
  return { bytes: await out.read(form.file), notices };
}

export const ggufModelFile = (ggufCase: GgufCase, quant: GgufQuant) =>
  ggufFile(ggufCase, { to: 'gguf', file: `${ggufCase.name}-${quant}.gguf`, quant });
export const ggufLoraFile = (ggufCase: GgufCase) =>
  ggufFile(ggufCase, { to: 'gguf-lora', file: `${ggufCase.name}-lora.gguf`, type: 'f32' });
