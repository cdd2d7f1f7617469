import { ConfigError } from '../../config/errors.js';
import type { ModelConfig } from '../family.js';
import type { GgufMetadata } from '../gguf-value.js';
import type { GemmaConfig } from './config.js';
import { generations } from './generations.js';
import { gemmaConfigFromGguf } from './gguf.js';

/** Fields that the architecture's keys say nothing of: the vocabulary's are its own. */
const ofVocabulary: readonly (keyof GemmaConfig)[] = ['vocabSize', 'padTokenId', 'bosTokenId', 'eosTokenIds'];

/**
 * The keys of the architecture that llama.cpp's converter writes, and llama.cpp reads. The query scale, the pattern of local layers and
 * their rope base have none: llama.cpp knows them by the architecture.
 * Source: https://github.com/ggml-org/llama.cpp, `convert_hf_to_gguf.py`.
 * @throws {ConfigError} naming a field that llama.cpp would take to have another value
 */
export function gemmaConfigToGguf(config: GemmaConfig): GgufMetadata {
  const traits = generations[config.family];
  const arch = traits.gguf.architecture;
  const { attnLogitSoftcap, finalLogitSoftcap, slidingWindow, ropeScalingFactor } = config;
  const keys: GgufMetadata = {
    context_length: ['u32', config.maxPositionEmbeddings],
    embedding_length: ['u32', config.hiddenSize],
    block_count: ['u32', config.numLayers],
    feed_forward_length: ['u32', config.intermediateSize],
    'attention.head_count': ['u32', config.numHeads],
    'attention.head_count_kv': ['u32', config.numKvHeads],
    'attention.key_length': ['u32', config.headDim],
    'attention.value_length': ['u32', config.headDim],
    'attention.layer_norm_rms_epsilon': ['f32', config.rmsNormEps],
    'rope.freq_base': ['f32', config.ropeTheta],
    ...(ropeScalingFactor !== 1 && {
      'rope.scaling.type': ['string', 'linear'],
      'rope.scaling.factor': ['f32', ropeScalingFactor],
    }),
    ...(attnLogitSoftcap !== null && { attn_logit_softcapping: ['f32', attnLogitSoftcap] }),
    ...(finalLogitSoftcap !== null && { final_logit_softcapping: ['f32', finalLogitSoftcap] }),
    ...(slidingWindow !== null && { 'attention.sliding_window': ['u32', slidingWindow] }),
  };
  const metadata: GgufMetadata = Object.fromEntries(
    Object.entries(keys).map(([name, value]) => [`${arch}.${name}`, value]),
  );
  checkRead(config, metadata, { arch, ofVocabulary, read: gemmaConfigFromGguf });
  // A cap that other generations have: llama.cpp does not look for it.
  if (traits.softcaps?.attention === null)
    for (const field of ['attnLogitSoftcap', 'finalLogitSoftcap'] as const)
      if (config[field] !== null)
        throw new ConfigError(field, config[field], 'but llama.cpp reads none for this model');
  return { 'general.architecture': ['string', arch], ...metadata };
}

/**
 * Reads what was written as llama.cpp does, whose values for what is not said are those of `read`.
 * @throws {ConfigError} naming a field that comes back with another value
 */
export function checkRead<C extends ModelConfig & { readonly vocabSize: number }>(
  config: C,
  metadata: GgufMetadata,
  {
    arch,
    ofVocabulary: ofTokenizer,
    read: readBack,
  }: {
    readonly arch: string;
    /** Fields that the architecture's keys say nothing of. */
    readonly ofVocabulary: readonly (keyof C)[];
    readonly read: (metadata: Readonly<Record<string, unknown>>) => C;
  },
): void {
  const values = Object.entries(metadata).map(([key, [, value]]) => [key, value] as const);
  const read = readBack({
    'general.architecture': arch,
    [`${arch}.vocab_size`]: config.vocabSize,
    ...Object.fromEntries(values),
  });
  for (const field of Object.keys(config) as (keyof C & string)[]) {
    const [own, found] = [config[field], read[field]];
    if (ofTokenizer.includes(field) || isSame(own, found)) continue;
    throw new ConfigError(field, own, `but a GGUF has no key for it, and llama.cpp takes it to be ${show(found)}`);
  }
}

const show = (value: unknown) => JSON.stringify(value)?.slice(0, 80);

function isSame(own: unknown, found: unknown): boolean {
  // Files hold float32.
  if (typeof own === 'number' && typeof found === 'number') return Math.abs(own - found) <= 1e-6 * Math.abs(own);
  return JSON.stringify(own) === JSON.stringify(found);
}
