import { createMemoryStore, exportAdapter } from '@lapidary/trainer';
import { modelWeightLoader } from '@lapidary/weights';
import { adapterSources, chatModelSources } from './fixture-sources.js';

/** A merged folder that transformers has judged: test/fixtures/merged/<name>.json. */
export interface MergedCase {
  readonly name: string;
  /** Of test/fixtures: where PEFT's adapter is, and its base. */
  readonly adapter: string;
  readonly model: string;
  readonly dtype?: 'f16' | 'bf16' | 'f32';
  readonly shardBytes?: number;
}

const peft = (name: string, model: string, form: Pick<MergedCase, 'dtype' | 'shardBytes'> = {}): MergedCase => ({
  name: [name, ...Object.values(form)].join('-'),
  adapter: `adapters/${name}`,
  model,
  ...form,
});

export const mergedCases: readonly MergedCase[] = [
  peft('all-linear', 'gemma1-tiny'),
  peft('patterns', 'gemma3-tiny', { shardBytes: 30_000 }),
  peft('patterns-rslora', 'gemma3-tiny', { dtype: 'bf16' }),
  peft('some-layers', 'gemma3-tiny', { dtype: 'f16' }),
  peft('some-layers', 'gemma3-tiny-bf16'),
  peft('some-layers', 'gemma3-tiny-bf16', { dtype: 'f32' }),
  peft('dora', 'gemma2-tiny', { shardBytes: 10 }),
  peft('norms', 'gemma2-tiny'),
  peft('embedding-tied', 'gemma2-tiny'),
  peft('head-tied', 'gemma1-tiny'),
  peft('vlm', 'gemma3-vlm-tiny'),
  peft('dora-vision', 'paligemma1-tiny'),
  peft('lora-projector', 'paligemma2-tiny'),
].map((each) => (each.model.endsWith('bf16') ? { ...each, name: `${each.name}-of-bf16` } : each));

/** The files of a merged folder, as the product writes them. */
export async function mergedFiles({ adapter, model, dtype, shardBytes }: MergedCase): Promise<Map<string, Uint8Array>> {
  const out = createMemoryStore();
  const { files } = await exportAdapter({
    adapter: await adapterSources(adapter),
    base: modelWeightLoader({ from: await chatModelSources(model) }),
    out,
    form: { to: 'merged', dtype, shardBytes },
  });
  return new Map(await Promise.all(files.map(async (name) => [name, await out.read(name)] as const)));
}
