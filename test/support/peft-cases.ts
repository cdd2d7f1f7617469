import { createRandom, loraSpecs, type HfConfig, type LoraOptions, type Model } from '@lapidary/gemma';
import { peftAdapterFiles, type PeftFiles } from '@lapidary/weights';

/** An adapter whose export PEFT has judged: test/fixtures/peft/<name> holds our files and PEFT's logits. */
export interface PeftCase {
  readonly name: string;
  readonly model: string;
  readonly lora: LoraOptions;
}

export const peftCases: readonly PeftCase[] = [
  { name: 'gemma1-all', model: 'gemma1-tiny', lora: { rank: 3, alpha: 6 } },
  { name: 'gemma2-all', model: 'gemma2-tiny', lora: { rank: 4, alpha: 4 } },
  { name: 'gemma3-rslora', model: 'gemma3-tiny', lora: { rank: 4, alpha: 8, rslora: true } },
  { name: 'gemma3-vlm', model: 'gemma3-vlm-tiny', lora: { rank: 2, alpha: 6 } },
  {
    name: 'gemma3-some-layers',
    model: 'gemma3-tiny',
    lora: { rank: 2, alpha: 8, targets: ({ path }) => /^layers\.[25]\.attn\.[qv]Proj\.weight$/.test(path) },
  },
];

/** Values of a case's LoRA by path: neither half is zero. */
export function peftCaseTensors({ lora }: PeftCase, model: Model): Map<string, Float32Array> {
  const random = createRandom(5);
  return new Map(
    [...loraSpecs(model.params, lora)].map(([path, { shape }]) => [
      path,
      Float32Array.from({ length: shape[0]! * shape[1]! }, () => (random() - 0.5) * 0.5),
    ]),
  );
}

/** The files, for the base whose config.json this is. */
export function exportPeftCase(peftCase: PeftCase, model: Model, baseConfig: HfConfig): Promise<PeftFiles> {
  const { rank, alpha, rslora = false } = peftCase.lora;
  return peftAdapterFiles({
    model,
    rank,
    alpha,
    rslora,
    tensors: peftCaseTensors(peftCase, model),
    baseModel: peftCase.model,
    baseConfig,
  });
}
