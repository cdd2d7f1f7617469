import type { GemmaConfig } from '../gemma/config.js';
import { gemmaPresets } from '../gemma/presets.js';
import { so400m } from '../siglip/config.js';
import { type PaliGemmaConfig, withoutWindow } from './config.js';

/** 256,000 words of Gemma, 1024 `<loc…>` and 128 `<seg…>`; the id after them stands for a patch. */
const paliGemmaVocab = 257152;

function paliGemma(text: GemmaConfig, imageSize: 224 | 448 | 896): PaliGemmaConfig {
  return {
    family: 'paligemma',
    vision: so400m(imageSize),
    // Google's recipe for fine-tuning PaliGemma 2 leaves out the final soft-cap.
    text: { ...withoutWindow(text), vocabSize: paliGemmaVocab, finalLogitSoftcap: null },
    imageTokenId: paliGemmaVocab,
  };
}

/**
 * Every released PaliGemma 1 and 2, with the official vocabulary; Hugging Face's files have 64 filler rows more (257,216).
 * Source: https://github.com/google-research/big_vision, `big_vision/configs/proj/paligemma`.
 */
export const paliGemmaPresets = {
  'paligemma-3b-224': paliGemma(gemmaPresets['gemma-2b'], 224),
  'paligemma-3b-448': paliGemma(gemmaPresets['gemma-2b'], 448),
  'paligemma-3b-896': paliGemma(gemmaPresets['gemma-2b'], 896),
  'paligemma2-3b-224': paliGemma(gemmaPresets['gemma-2-2b'], 224),
  'paligemma2-3b-448': paliGemma(gemmaPresets['gemma-2-2b'], 448),
  'paligemma2-3b-896': paliGemma(gemmaPresets['gemma-2-2b'], 896),
  'paligemma2-10b-224': paliGemma(gemmaPresets['gemma-2-9b'], 224),
  'paligemma2-10b-448': paliGemma(gemmaPresets['gemma-2-9b'], 448),
  'paligemma2-10b-896': paliGemma(gemmaPresets['gemma-2-9b'], 896),
  'paligemma2-28b-224': paliGemma(gemmaPresets['gemma-2-27b'], 224),
  'paligemma2-28b-448': paliGemma(gemmaPresets['gemma-2-27b'], 448),
  'paligemma2-28b-896': paliGemma(gemmaPresets['gemma-2-27b'], 896),
} as const satisfies Record<string, PaliGemmaConfig>;

/** A released size of PaliGemma, with the pixels a side of its pictures. */
export type PaliGemmaPresetName = keyof typeof paliGemmaPresets;
