// Files that numpy wrote, against the checkpoint that transformers wrote of the same weights (test/fixtures/npz).
import { describe, expect, it } from 'vitest';
import { fixtureSources } from '../../../../test/support/fixture-sources.js';
import type { StoredTensor } from '../container.js';
import { convertBytes } from '../dtype/convert.js';
import { dtypeOf } from '../dtype/names.js';
import { openSafetensors } from '../safetensors/read.js';
import { openNpz } from './open.js';

const read = (tensor: StoredTensor) => tensor.source.read(tensor.offset, tensor.byteLength);

/** What both files hold in the same order: [name in the npz, names in the checkpoint by layer]. */
function untransposed(npz: ReadonlyMap<string, StoredTensor>): [string, string[]][] {
  const [llm, hf] = ['params/llm/', 'language_model.model.'];
  const [img, vit] = ['params/img/Transformer/', 'vision_tower.'];
  const layers = (name: string) => [0, 1].map((layer) => name.replace('#', String(layer)));
  const isSecond = npz.has(`${llm}layers/post_ffw_norm/scale`);
  return [
    [`${llm}embedder/input_embedding`, [`${hf}embed_tokens.weight`]],
    [`${llm}final_norm/scale`, [`${hf}norm.weight`]],
    [`${llm}layers/pre_attention_norm/scale`, layers(`${hf}layers.#.input_layernorm.weight`)],
    [
      `${llm}layers/pre_ffw_norm/scale`,
      layers(`${hf}layers.#.${isSecond ? 'pre_feedforward' : 'post_attention'}_layernorm.weight`),
    ],
    [`${img}encoderblock/LayerNorm_1/bias`, layers(`${vit}encoder.layers.#.layer_norm2.bias`)],
    [`${img}encoderblock/MlpBlock_0/Dense_0/bias`, layers(`${vit}encoder.layers.#.mlp.fc1.bias`)],
    [`${img}encoder_norm/scale`, [`${vit}post_layernorm.weight`]],
    ['params/img/pos_embedding', [`${vit}embeddings.position_embedding.weight`]],
    ['params/img/head/bias', ['multi_modal_projector.linear.bias']],
  ];
}

describe('openNpz on files that numpy wrote', () => {
  it.each([
    ['paligemma1-tiny', '', 'F32'],
    ['paligemma1-tiny', '.f16', 'F16'],
    ['paligemma1-tiny', '.bf16', 'BF16'],
    ['paligemma1-tiny', '.bf16-void', 'BF16'],
    ['paligemma2-tiny', '', 'F32'],
  ])('%s%s.npz holds the bytes of the checkpoint', async (model, kind, type) => {
    const [npz, hf] = await fixtureSources(`npz/${model}${kind}.npz`, `models/${model}/model.safetensors`);
    const { tensors } = await openNpz(npz!);
    const checkpoint = (await openSafetensors(hf!)).tensors;
    expect(tensors.size).toBe(model === 'paligemma1-tiny' ? 32 : 34);
    for (const tensor of tensors.values()) expect(tensor.type, tensor.name).toBe(type);
    for (const [name, parts] of untransposed(tensors)) {
      const found = await read(tensors.get(name)!);
      let at = 0;
      for (const part of parts) {
        const expected = convertBytes(await read(checkpoint.get(part)!), 'f32', dtypeOf(type)!);
        // The embedding of the checkpoint has rows more, for image and location tokens.
        const length = Math.min(expected.length, found.length - at);
        expect(found.subarray(at, at + length), `${name} as ${part}`).toEqual(expected.subarray(0, length));
        at += length;
      }
      expect(at, name).toBe(found.length);
    }
  });

  it.each([
    ['compressed', /numpy\.savez, not numpy\.savez_compressed/],
    ['fortran', /tensor params\/fortran, .*numpy\.ascontiguousarray/],
    ['pickled', /tensor params\/pickled, .*pickled Python objects/],
    ['truncated', /download it again/],
    ['not-zip', /no \.npz file/],
  ])('refuses bad/%s.npz', async (name, message) => {
    const [source] = await fixtureSources(`npz/bad/${name}.npz`);
    await expect(openNpz(source!)).rejects.toThrow(message);
  });
});
