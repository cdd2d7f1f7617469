import { gemma3Presets } from '../gemma/presets.js';
import type { GemmaConfig } from '../gemma/config.js';
import { so400m } from '../siglip/config.js';
import type { Gemma3VisionConfig } from './config.js';
import { defaultTokens } from './hf.js';

/** Hugging Face's files have 64 rows more than there are words: pictures' token is the first of them. */
const rows = 262208;

function withVision(text: GemmaConfig): Gemma3VisionConfig {
  return { family: 'gemma3-vision', vision: so400m(896), text: { ...text, vocabSize: rows }, ...defaultTokens };
}

const [small, middle, large] = (['gemma-3-4b', 'gemma-3-12b', 'gemma-3-27b'] as const).map((name) =>
  withVision(gemma3Presets[name]),
) as [Gemma3VisionConfig, Gemma3VisionConfig, Gemma3VisionConfig];

/** The released sizes of Gemma 3 with their vision tower, and the models that Google made of them. */
export const gemma3VisionPresets = {
  'gemma-3-4b-vision': small,
  'gemma-3-12b-vision': middle,
  'gemma-3-27b-vision': large,
  'medgemma-4b': small,
  'medgemma-27b': large,
  'translategemma-4b': small,
  'translategemma-12b': middle,
  'translategemma-27b': large,
  'shieldgemma-2-4b': small,
} as const satisfies Record<string, Gemma3VisionConfig>;

/** A released size of Gemma 3 with its vision tower. */
export type Gemma3VisionPresetName = keyof typeof gemma3VisionPresets;
