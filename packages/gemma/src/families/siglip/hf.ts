import { ConfigError } from '../../config/errors.js';
import { isFields, readNumber, watchFields } from '../../config/fields.js';
import { checkActivation, type Tell, tellUnreadFields } from '../../config/hf-fields.js';
import { checkModelType } from '../gemma/hf.js';
import { type SiglipConfig, so400m } from './config.js';

/** What transformers assumes for a `vision_config` that leaves fields out (SiglipVisionConfig). */
const defaults = { d: 768, f: 3072, layers: 12, heads: 12, image: 224, patch: 16, eps: 1e-6 } as const;
/** What the shapes of the weights say too, or follows from other fields. */
const knownFields = [
  'projection_dim',
  'num_image_tokens',
  'num_positions',
  'vision_use_head',
  'projector_hidden_act',
  'vocab_size',
];

/** The `vision_config` of a config.json. @throws ConfigError naming the field */
export function siglipConfigFromHf(json: unknown, tell: Tell | undefined): SiglipConfig {
  if (json === undefined || json === null) return so400m(defaults.image);
  if (!isFields(json)) throw new ConfigError('vision_config', json, 'not an object');
  const watched = watchFields(json);
  const vision = watched.fields;
  const where = 'vision_config.';
  checkModelType(vision, where, ['siglip_vision_model']);
  checkActivation(vision, 'hidden_act', where);
  const channels = readNumber(vision, 'num_channels', 3);
  if (channels !== 3) throw new ConfigError('vision_config.num_channels', channels, 'but pictures have 3');
  const config = {
    hiddenSize: readNumber(vision, 'hidden_size', defaults.d),
    intermediateSize: readNumber(vision, 'intermediate_size', defaults.f),
    numLayers: readNumber(vision, 'num_hidden_layers', defaults.layers),
    numHeads: readNumber(vision, 'num_attention_heads', defaults.heads),
    imageSize: readNumber(vision, 'image_size', defaults.image),
    patchSize: readNumber(vision, 'patch_size', defaults.patch),
    layerNormEps: readNumber(vision, 'layer_norm_eps', defaults.eps),
  };
  tellUnreadFields(watched, tell, { where, known: knownFields });
  return config;
}

/** The `vision_config` of a tower; whether it has a pooling head is for the whole model to say. */
export function siglipConfigToHf(vision: SiglipConfig): Record<string, unknown> {
  return {
    model_type: 'siglip_vision_model',
    hidden_size: vision.hiddenSize,
    intermediate_size: vision.intermediateSize,
    num_hidden_layers: vision.numLayers,
    num_attention_heads: vision.numHeads,
    image_size: vision.imageSize,
    patch_size: vision.patchSize,
    num_channels: 3,
    layer_norm_eps: vision.layerNormEps,
    hidden_act: 'gelu_pytorch_tanh',
  };
}
