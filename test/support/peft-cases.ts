import { createRandom, loraSpecs, loraUpdates, type HfConfig, type LoraOptions, type Model } from '@lapidary/gemma';
import { encodeFloats, peftAdapterFiles, type TensorData } from '@lapidary/weights';
import { peftFileBytes } from './peft-files.js';

/** An adapter whose export PEFT has judged: test/fixtures/peft/<name> holds our files and PEFT's logits. */
export interface PeftCase {
  readonly name: string;
  readonly model: string;
  readonly lora: LoraOptions;
  /** Parameters that are trained whole beside it. */
  readonly saved?: RegExp;
}

/** Ranks and alphas that differ by name, by layer and by linear. */
const patterned: NonNullable<LoraOptions['overrideOf']> = (linear) => {
  if (linear.endsWith('.kProj')) return { rank: 2 };
  if (linear.endsWith('.oProj')) return { alpha: 5 };
  return linear === 'layers.1.mlp.downProj' ? { rank: 6, alpha: 3 } : {};
};

export const peftCases: readonly PeftCase[] = [
  { name: 'gemma1-all', model: 'gemma1-tiny', lora: { rank: 3, alpha: 6 } },
  { name: 'gemma2-all', model: 'gemma2-tiny', lora: { rank: 4, alpha: 4 } },
  { name: 'gemma3-rslora', model: 'gemma3-tiny', lora: { rank: 4, alpha: 8, rslora: true } },
  { name: 'gemma4-all', model: 'gemma4-tiny', lora: { rank: 3, alpha: 6 } },
  {
    name: 'gemma4-layers',
    model: 'gemma4-tiny',
    lora: { rank: 3, alpha: 6, targets: ({ layer }) => layer !== undefined },
  },
  {
    name: 'gemma4-whole',
    model: 'gemma4-whole-tiny',
    lora: { rank: 2, alpha: 6 },
    saved: /^(finalNorm|layers\.1\.attn\.kNorm)\./,
  },
  {
    name: 'gemma4-unified',
    model: 'gemma4-unified-tiny',
    lora: { rank: 2, alpha: 6, rslora: true, overrideOf: patterned },
  },
  { name: 'gemma3-vlm', model: 'gemma3-vlm-tiny', lora: { rank: 2, alpha: 6 } },
  {
    name: 'gemma3-some-layers',
    model: 'gemma3-tiny',
    lora: { rank: 2, alpha: 8, targets: ({ path }) => /^layers\.[25]\.attn\.[qv]Proj\.weight$/.test(path) },
  },
  { name: 'gemma2-dora', model: 'gemma2-tiny', lora: { rank: 3, alpha: 6, dora: true, overrideOf: patterned } },
  {
    name: 'gemma3-vlm-patterns',
    model: 'gemma3-vlm-tiny',
    lora: { rank: 2, alpha: 6, rslora: true, overrideOf: patterned },
    saved: /^(embedTokens|finalNorm|layers\.1\.attn\.kNorm)\./,
  },
  {
    name: 'gemma1-saved',
    model: 'gemma1-tiny',
    lora: { rank: 2, alpha: 4, dora: true, targets: ({ path }) => /\.[qv]Proj\./.test(path) },
    saved: /^embedTokens\.|Norm\.|\.1\.mlp\.downProj\./,
  },
];

/** What a case's LoRA is made of. */
export const peftCaseLora = ({ lora }: PeftCase, model: Model) => ({
  updates: loraUpdates(model.params, lora),
  specs: loraSpecs(model.params, lora),
});

/** Values of a case's adapter by path: no half of an update is zero. */
export function peftCaseTensors(peftCase: PeftCase, model: Model) {
  const random = createRandom(5);
  const draw = (shape: readonly number[], from: number, to: number) =>
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => from + (to - from) * random());
  const tensors = new Map<string, Float32Array>();
  for (const [path, { shape, kind }] of peftCaseLora(peftCase, model).specs)
    if (kind !== 'weightNorm') tensors.set(path, kind === 'magnitude' ? draw(shape, 0.5, 2) : draw(shape, -0.25, 0.25));
  const saved = model.params.filter(({ path }) => peftCase.saved?.test(path));
  const params = new Map(saved.map(({ path, shape }) => [path, { shape, values: draw(shape, -0.5, 0.5) }]));
  return { tensors, params };
}

/** The files, for the base whose config.json this is. */
export function exportPeftCase(peftCase: PeftCase, model: Model, baseConfig: HfConfig) {
  const { tensors, params } = peftCaseTensors(peftCase, model);
  const wholes = [...params].map(([path, { shape, values }]): [string, TensorData] => [
    path,
    { dtype: 'f32', shape, bytes: encodeFloats(values, 'f32') },
  ]);
  return peftFileBytes(
    peftAdapterFiles({
      model,
      updates: peftCaseLora(peftCase, model).updates,
      rslora: peftCase.lora.rslora ?? false,
      tensors,
      params: new Map(wholes),
      baseModel: peftCase.model,
      baseConfig,
    }),
  );
}
