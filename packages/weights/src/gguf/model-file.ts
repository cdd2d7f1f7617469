import type { GgufMetadata, Model, ParamSpec } from '@lapidary/gemma/model';
import { dtypeInfo } from '@lapidary/kernels/dtype';
import { castTensor } from '../dtype/cast-tensor.js';
import { encodeFloats } from '../dtype/convert.js';
import { WeightFileError } from '../errors.js';
import { layoutOf, placesOf } from '../layout/places.js';
import type { TensorData } from '../safetensors/write.js';
import { encodeGguf } from './write.js';

/** Types that the matrices of a GGUF can be written as. */
export const ggufQuants = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as const;
export type GgufQuant = (typeof ggufQuants)[number];

/** `general.file_type`. Source: https://github.com/ggml-org/llama.cpp, `gguf-py/gguf/constants.py`, `LlamaFileType`. */
const fileTypes: Readonly<Record<GgufQuant, number>> = { f32: 0, f16: 1, q4_0: 2, q8_0: 7, bf16: 32 };
const quantizationVersion = 2;

/** What is written of a model. */
export interface GgufModelOptions {
  readonly quant: GgufQuant;
  /** `general.name`. */
  readonly name?: string | undefined;
  /** Of the tokenizer; see `tokenizerToGguf` of @lapidary/gemma. */
  readonly tokenizer: () => Promise<GgufMetadata>;
}

/** A GGUF on its way into a file. */
export interface GgufPieces {
  readonly pieces: AsyncIterable<Uint8Array>;
  /** Tensors that could not be of the type that was asked for, and are f16. */
  readonly fallbacks: readonly string[];
}

/**
 * A model as llama.cpp loads it. Matrices are of type `quant`, whatever has one dimension is f32. Where rows are no whole blocks they are
 * f16; beside 4-bit blocks the table of words, which is the output projection too, has 8 bits.
 * @throws WeightFileError where there is no such form of the model; ConfigError where its metadata cannot say what it is like
 */
export async function ggufModel(
  model: Model,
  params: ReadonlyMap<string, TensorData>,
  { quant, name, tokenizer }: GgufModelOptions,
): Promise<GgufPieces> {
  const layout = layoutOf(model, 'gguf', 'export');
  const architecture = await architectureOf(model);
  const tensors = new Map<string, TensorData>();
  const fallbacks: string[] = [];
  for (const spec of model.params) {
    const [place] = placesOf(layout, spec);
    if (place === undefined || place.permute !== undefined || place.at.length > 0)
      throw new WeightFileError({ file: 'export', tensor: spec.path }, 'the layout cannot be written.');
    const wanted = typeIn(spec, quant);
    const fits = (spec.shape.at(-1) ?? 0) % dtypeInfo[wanted].blockSize === 0;
    if (!fits) fallbacks.push(place.name);
    tensors.set(place.name, castTensor(place.name, params.get(spec.path)!, fits ? wanted : 'f16', -place.offset));
  }
  for (const [constant, values] of Object.entries(layout.constants ?? {}))
    tensors.set(constant, { dtype: 'f32', shape: [values.length], bytes: encodeFloats(values, 'f32') });
  const metadata: GgufMetadata = {
    ...architecture,
    'general.type': ['string', 'model'],
    ...(name !== undefined && { 'general.name': ['string', name] }),
    'general.file_type': ['u32', fileTypes[quant]],
    'general.quantization_version': ['u32', quantizationVersion],
    ...(await tokenizer()),
  };
  return { pieces: encodeGguf(metadata, tensors), fallbacks };
}

/** @throws WeightFileError where llama.cpp has no form of the model */
export async function architectureOf({ toGguf, title }: Model): Promise<GgufMetadata> {
  if (toGguf === undefined) throw new WeightFileError({ file: 'export' }, `there is no gguf form of a ${title}.`);
  return toGguf();
}

function typeIn({ shape, role }: ParamSpec, quant: GgufQuant): GgufQuant {
  if (shape.length === 1) return 'f32';
  return role === 'table' && quant === 'q4_0' ? 'q8_0' : quant;
}
