import {
  families,
  gemmaConfigFromGguf,
  type Model,
  modelOf,
  modelPresets,
  paliGemmaConfigFromBigVision,
  paliGemmaConfigFromHf,
} from '@lapidary/gemma';
import type { Dice } from '../dice.js';
import { brokenJson, type Json } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold } from '../reader.js';

const hf: readonly Json[] = Object.values(modelPresets).map((config) => modelOf(config).toHf() as Json);

/** As a GGUF's metadata, in JSON. */
const ggufMetadata: Json = {
  'general.architecture': 'gemma3',
  'gemma3.block_count': 2,
  'gemma3.embedding_length': 64,
  'gemma3.feed_forward_length': 128,
  'gemma3.attention.head_count': 4,
  'gemma3.attention.head_count_kv': 1,
  'gemma3.attention.key_length': 16,
  'gemma3.attention.value_length': 16,
  'gemma3.attention.layer_norm_rms_epsilon': 1e-6,
  'gemma3.attention.sliding_window': 32,
  'gemma3.context_length': 128,
  'gemma3.rope.freq_base': 1e6,
  'gemma3.rope.scaling.type': 'linear',
  'gemma3.rope.scaling.factor': 8,
  'gemma3.vocab_size': 300,
  'tokenizer.ggml.eos_token_id': 1,
  'tokenizer.ggml.eot_token_id': 106,
};

/** Shapes of big_vision's arrays, in JSON. */
const shapes: Json = {
  'params/img/embedding/kernel': [14, 14, 3, 32],
  'params/img/pos_embedding': [1, 256, 32],
  'params/img/Transformer/encoderblock/MultiHeadDotProductAttention_0/query/kernel': [2, 32, 2, 16],
  'params/img/Transformer/encoderblock/MlpBlock_0/Dense_0/kernel': [2, 32, 64],
  'params/llm/embedder/input_embedding': [300, 64],
  'params/llm/layers/attn/q_einsum/w': [2, 4, 64, 16],
  'params/llm/layers/attn/kv_einsum/w': [2, 2, 1, 64, 16],
  'params/llm/layers/mlp/linear': [2, 128, 64],
};

function checkModel({ params, layers, vocabSize, hiddenSize }: Model): void {
  mustHold(layers.length > 0 && vocabSize > 0 && hiddenSize > 0, 'it has no layers');
  for (const { path, shape } of params)
    mustHold(
      shape.every((size) => Number.isSafeInteger(size) && size > 0),
      `${path} has shape [${shape.join(', ')}]`,
    );
}

/** config.json of all families, metadata of a GGUF and shapes of an npz: what says which model there is. */
export const configReader: FuzzReader = {
  name: 'config',
  make(dice: Dice) {
    const kind = dice.pick(['hf', 'hf', 'gguf', 'npz']);
    const value = kind === 'hf' ? dice.pick(hf) : kind === 'gguf' ? ggufMetadata : shapes;
    return { [`${kind}.json`]: encode(brokenJson(value, dice)) };
  },
  async read(files) {
    const [name = '', bytes] = Object.entries(files)[0] ?? [];
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return;
    }
    if (name === 'gguf.json') {
      if (typeof json === 'object' && json !== null)
        checkModel(modelOf(gemmaConfigFromGguf(json as Record<string, unknown>)));
      return;
    }
    if (name === 'npz.json') {
      const entries = Object.entries((json ?? {}) as Record<string, unknown>).filter(
        (entry): entry is [string, number[]] =>
          Array.isArray(entry[1]) && entry[1].every((size) => Number.isSafeInteger(size) && size >= 0),
      );
      checkModel(modelOf(paliGemmaConfigFromBigVision(new Map(entries))));
      return;
    }
    const type = (json as { model_type?: unknown } | null)?.model_type;
    const family = families.find((each) => typeof type === 'string' && each.hf?.modelTypes.includes(type));
    const config = family?.hf ? family.hf.read(json) : paliGemmaConfigFromHf(json);
    checkModel(modelOf(config));
  },
};
