import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../config/errors.js';
import { paliGemmaConfigFromHf, paliGemmaConfigToHf } from './hf.js';
import { paliGemmaPresets } from './presets.js';

const preset = Object.values(paliGemmaPresets)[0]!;
const json = paliGemmaConfigToHf(preset) as Record<string, object>;
const changed = (part: string, fields: object) => ({ ...json, [part]: { ...json[part], ...fields } });

describe('paliGemmaConfigFromHf', () => {
  it.each(Object.entries(paliGemmaPresets))('reads back what paliGemmaConfigToHf writes: %s', (_, config) => {
    const told: string[] = [];
    const found = paliGemmaConfigFromHf(JSON.parse(JSON.stringify(paliGemmaConfigToHf(config))), (n) => told.push(n));
    expect(found).toEqual(config);
    expect(told).toEqual([]);
  });

  it.each<[object, RegExp]>([
    [changed('vision_config', { hidden_act: 'gelu' }), /vision_config\.hidden_act is "gelu", which is the exact GELU/],
    [changed('vision_config', { model_type: 'clip_vision_model' }), /vision_config\.model_type/],
    [changed('vision_config', { image_size: [224, 448] }), /image_size/],
    [changed('vision_config', { num_channels: 4 }), /num_channels/],
    [changed('text_config', { use_bidirectional_attention: false }), /use_bidirectional_attention is false/],
    [changed('text_config', { hidden_activation: 'gelu' }), /hidden_activation is "gelu"/],
    [changed('text_config', { rope_scaling: { type: 'dynamic', factor: 2 } }), /neither default nor linear/],
    [changed('text_config', { final_logit_softcapping: 30 }), /text_config\.final_logit_softcapping is 30, .*Gemma 1/],
  ])('refuses %#', (fields, message) => {
    expect(() => paliGemmaConfigFromHf(fields)).toThrow(ConfigError);
    expect(() => paliGemmaConfigFromHf(fields)).toThrow(message);
  });

  it('tells the fields that it does not know, where they stand', () => {
    const told: string[] = [];
    paliGemmaConfigFromHf({ ...changed('vision_config', { registers: 4 }), adapters: 1 }, (notice) =>
      told.push(notice),
    );
    expect(told.join('\n')).toMatch(/vision_config\.registers.*\n.*says adapters/);
  });

  it('takes what is not said of directions for both', () => {
    expect(paliGemmaConfigFromHf(changed('text_config', { use_bidirectional_attention: null }))).toEqual(preset);
    expect(paliGemmaConfigFromHf(changed('text_config', { use_bidirectional_attention: true }))).toEqual(preset);
  });
});
