import { createRandom, loraSpecs, type GemmaConfig, type LoraOptions } from '@lapidary/gemma';
import { peftAdapterFiles, type PeftFiles } from '@lapidary/weights';

/** An adapter whose export PEFT has judged: test/fixtures/peft/<name> holds our files and PEFT's logits. */
export interface PeftCase {
  readonly name: string;
  readonly model: string;
  readonly lora: LoraOptions;
  /** Hugging Face's names of the adapted linears. */
  readonly targets: readonly string[];
}

const all = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
export const peftCases: readonly PeftCase[] = [
  { name: 'gemma1-all', model: 'gemma1-tiny', lora: { rank: 3, alpha: 6 }, targets: all },
  { name: 'gemma2-all', model: 'gemma2-tiny', lora: { rank: 4, alpha: 4 }, targets: all },
  { name: 'gemma3-rslora', model: 'gemma3-tiny', lora: { rank: 4, alpha: 8, rslora: true }, targets: all },
  {
    name: 'gemma3-some-layers',
    model: 'gemma3-tiny',
    lora: { rank: 2, alpha: 8, targets: (path) => /^layers\.[25]\.attn\.[qv]Proj$/.test(path) },
    targets: ['q_proj', 'v_proj'],
  },
];

/** Values of a case's LoRA by path: neither half is zero. */
export function peftCaseTensors({ lora }: PeftCase, config: GemmaConfig): Map<string, Float32Array> {
  const random = createRandom(5);
  return new Map(
    [...loraSpecs(config, lora)].map(([path, { shape }]) => [
      path,
      Float32Array.from({ length: shape[0]! * shape[1]! }, () => (random() - 0.5) * 0.5),
    ]),
  );
}

export function exportPeftCase(peftCase: PeftCase, config: GemmaConfig): Promise<PeftFiles> {
  const { rank, alpha, rslora = false } = peftCase.lora;
  return peftAdapterFiles({
    config,
    rank,
    alpha,
    rslora,
    targets: peftCase.targets,
    tensors: peftCaseTensors(peftCase, config),
    baseModel: peftCase.model,
  });
}
