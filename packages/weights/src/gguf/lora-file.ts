import { type LoraUpdate, type Model, linearOf } from '@lapidary/gemma/model';
import { castTensor } from '../dtype/cast-tensor.js';
import { encodeFloats } from '../dtype/convert.js';
import { AdapterError } from '../errors.js';
import { layoutOf, placesOf } from '../layout/places.js';
import type { MergedAdapter } from '../peft/merge.js';
import type { TensorData } from '../safetensors/write.js';
import { architectureOf } from './model-file.js';
import { encodeGguf } from './write.js';

/** Types that an adapter's tensors can be written as. */
export const ggufLoraTypes = ['f32', 'f16', 'bf16'] as const;
export type GgufLoraType = (typeof ggufLoraTypes)[number];

const fileTypes: Readonly<Record<GgufLoraType, number>> = { f32: 0, f16: 1, bf16: 32 };
const adapterFile = 'adapter_model.safetensors';

/**
 * A LoRA as llama.cpp puts it beside a model's GGUF (`--lora`), in pieces. The file has one alpha, by which llama.cpp scales an update of
 * rank r with alpha / r: where an update has another scale (other alphas, rank-stabilised LoRA), the difference is in its b.
 * Source: https://github.com/ggml-org/llama.cpp, `convert_lora_to_gguf.py`.
 * @throws AdapterError naming what llama.cpp has no form of: lengths of rows (DoRA), modules that were trained whole, linears whose updates it
 * leaves out
 */
export async function ggufLora(
  model: Model,
  { updates, tensors, params, splitsEmbedding }: MergedAdapter,
  { type, name }: { readonly type: GgufLoraType; readonly name?: string | undefined },
): Promise<AsyncIterable<Uint8Array>> {
  const refuse = (problem: string): never => {
    throw new AdapterError(
      adapterFile,
      `${problem}: a GGUF adapter has no place for that. Export it merged, as a GGUF model.`,
    );
  };
  if ([...tensors.keys()].some((path) => path.endsWith('.lora.magnitude'))) refuse('it is a DoRA');
  const [whole] = params.keys();
  if (whole !== undefined || splitsEmbedding) refuse(`${whole ?? model.embeddingPath} was trained whole`);
  const linears = new Set(model.params.map(linearOf));
  const foreign = [...updates.keys()].find((linear) => !linears.has(linear));
  if (foreign !== undefined) refuse(`it changes ${foreign}`);
  const layout = layoutOf(model, 'gguf', 'export');
  const architecture = await architectureOf(model);
  const alpha = commonAlpha([...updates.values()]);
  const stored = new Map<string, TensorData>();
  for (const spec of model.params) {
    const linear = linearOf(spec);
    const update = updates.get(linear);
    if (update === undefined) continue;
    const [place] = placesOf(layout, spec);
    if (place === undefined) throw new AdapterError(adapterFile, `a GGUF has no ${spec.path}.`);
    if (place.takesNoAdapter)
      refuse(
        `it adapts ${linear}, whose updates llama.cpp leaves out (lora.targets: name the others, if you train again)`,
      );
    const { rank, scale } = update;
    const stretch = scale / (alpha / rank);
    const b = tensors.get(`${linear}.lora.b`)!;
    const [out, input] = spec.shape as [number, number];
    const put = (kind: 'a' | 'b', shape: readonly number[], values: Float32Array) => {
      const tensor: TensorData = { dtype: 'f32', shape, bytes: () => [encodeFloats(values, 'f32')] };
      stored.set(`${place.name}.lora_${kind}`, castTensor(`${place.name}.lora_${kind}`, tensor, type));
    };
    put('a', [rank, input], tensors.get(`${linear}.lora.a`)!);
    put('b', [out, rank], stretch === 1 ? b : b.map((value) => value * stretch));
  }
  return encodeGguf(
    {
      'general.architecture': architecture['general.architecture']!,
      'general.type': ['string', 'adapter'],
      ...(name !== undefined && { 'general.name': ['string', name] }),
      'general.file_type': ['u32', fileTypes[type]],
      'adapter.type': ['string', 'lora'],
      'adapter.lora.alpha': ['f32', alpha],
    },
    stored,
  );
}

/** What most updates have for alpha once they are scaled by alpha / rank. */
function commonAlpha(updates: readonly LoraUpdate[]): number {
  const counts = new Map<number, number>();
  for (const { scale, rank } of updates) {
    const alpha = Math.fround(scale * rank);
    counts.set(alpha, (counts.get(alpha) ?? 0) + 1);
  }
  return [...counts].reduce((most, each) => (each[1] > most[1] ? each : most))[0];
}
