import type { GemmaFamily } from './config.js';

/** In what one generation of Gemma differs from the others. Everything else of them is the same. */
export interface GemmaTraits {
  readonly family: GemmaFamily;
  /** For people. */
  readonly name: string;
  /** What attention and the MLP add to the stream is normalised before it is added. */
  readonly hasPostNorms: boolean;
  /** Queries and keys of each head are normalised before they are turned. */
  readonly hasQkNorm: boolean;
  /** Most layers see a sliding window only. */
  readonly hasLocalLayers: boolean;
  /** Every so manieth layer is global where files do not say which are. */
  readonly layerPeriod: number;
  readonly theta: number;
  /** Of local layers, which then turn by a base of their own; null: they turn as global ones do. */
  readonly localTheta: number | null;
  /** Soft-caps of scores and of the last logits where a file says nothing; null: such files have no fields for them. */
  readonly softcaps: { readonly attention: number | null; readonly final: number | null } | null;
  /** Layers of the 27B model, which scales queries by d / heads: no GGUF says so, llama.cpp knows it by its layers, so do we. */
  readonly layersOf27b?: number;
  readonly hf: {
    /** The first is what is written. */
    readonly modelTypes: readonly [string, ...string[]];
    readonly architecture: string;
    /** The form with a vision tower, in which models of so many layers and more are published; null: there is none. */
    readonly multimodal: {
      readonly architecture: string;
      readonly modelType: string;
      readonly layers: number;
      /** `model_type`s of classes around it, whose modules' names have a `model.` more. */
      readonly wrappedTypes: readonly string[];
    } | null;
    /** `sliding_window_pattern` says every how manieth layer is global. */
    readonly hasPatternField: boolean;
    /** The query scale where a file says nothing; null: files do not say it, it is the size of a head. */
    readonly queryPreAttnScalar: number | null;
    /** Files name the activation in the old field too. */
    readonly hasOldActivationField: boolean;
    /** What transformers assumes for a field that config.json leaves out. */
    readonly defaults: {
      readonly vocab: number;
      readonly d: number;
      readonly f: number;
      readonly layers: number;
      readonly heads: number;
      readonly kvHeads: number;
      readonly positions: number;
    };
  };
  /** The window of a file that says none; 0: it has none, and no local layers. */
  readonly gguf: { readonly architecture: string; readonly defaultWindow: number };
}

/** Gemma (arXiv:2403.08295), Gemma 2 (arXiv:2408.00118), Gemma 3 (arXiv:2503.19786). */
export const generations: Readonly<Record<GemmaFamily, GemmaTraits>> = {
  gemma1: {
    family: 'gemma1',
    name: 'Gemma 1',
    hasPostNorms: false,
    hasQkNorm: false,
    hasLocalLayers: false,
    layerPeriod: 1,
    theta: 1e4,
    localTheta: null,
    softcaps: null,
    hf: {
      modelTypes: ['gemma'],
      architecture: 'GemmaForCausalLM',
      multimodal: null,
      hasPatternField: false,
      queryPreAttnScalar: null,
      hasOldActivationField: true,
      defaults: { vocab: 256000, d: 3072, f: 24576, layers: 28, heads: 16, kvHeads: 16, positions: 8192 },
    },
    gguf: { architecture: 'gemma', defaultWindow: 0 },
  },
  gemma2: {
    family: 'gemma2',
    name: 'Gemma 2',
    hasPostNorms: true,
    hasQkNorm: false,
    hasLocalLayers: true,
    layerPeriod: 2,
    theta: 1e4,
    localTheta: null,
    softcaps: { attention: 50, final: 30 },
    layersOf27b: 46,
    hf: {
      modelTypes: ['gemma2'],
      architecture: 'Gemma2ForCausalLM',
      multimodal: null,
      hasPatternField: false,
      queryPreAttnScalar: 256,
      hasOldActivationField: false,
      defaults: { vocab: 256000, d: 2304, f: 9216, layers: 26, heads: 8, kvHeads: 4, positions: 8192 },
    },
    gguf: { architecture: 'gemma2', defaultWindow: 4096 },
  },
  gemma3: {
    family: 'gemma3',
    name: 'Gemma 3',
    hasPostNorms: true,
    hasQkNorm: true,
    hasLocalLayers: true,
    layerPeriod: 6,
    theta: 1e6,
    localTheta: 1e4,
    softcaps: { attention: null, final: null },
    layersOf27b: 62,
    hf: {
      modelTypes: ['gemma3_text', 'gemma3'],
      architecture: 'Gemma3ForCausalLM',
      multimodal: {
        architecture: 'Gemma3ForConditionalGeneration',
        modelType: 'gemma3',
        layers: 34,
        wrappedTypes: ['shieldgemma2'],
      },
      hasPatternField: true,
      queryPreAttnScalar: 256,
      hasOldActivationField: false,
      defaults: { vocab: 262208, d: 2304, f: 9216, layers: 26, heads: 8, kvHeads: 4, positions: 131072 },
    },
    gguf: { architecture: 'gemma3', defaultWindow: 0 },
  },
};

/** The generation whose name in some kind of file this is; undefined where it is none's. */
export function generationOf(
  name: string,
  namesOf: (traits: GemmaTraits) => readonly string[],
): GemmaTraits | undefined {
  return Object.values(generations).find((traits) => namesOf(traits).includes(name));
}
