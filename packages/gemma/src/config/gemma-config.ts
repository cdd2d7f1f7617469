export type GemmaFamily = 'gemma1' | 'gemma2' | 'gemma3';
/** `global` layers see everything before them; `local` ones a sliding window. */
export type LayerType = 'global' | 'local';

/** Everything the architecture of a Gemma text model depends on. Names follow Hugging Face's config fields. */
export interface GemmaConfig {
  readonly family: GemmaFamily;
  /** Rows of the (tied) embedding table. */
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** Not derivable from `hiddenSize / numHeads`: most sizes differ. */
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly maxPositionEmbeddings: number;
  /** Scores are scaled by `queryPreAttnScalar ** -0.5`. */
  readonly queryPreAttnScalar: number;
  readonly attnLogitSoftcap: number | null;
  readonly finalLogitSoftcap: number | null;
  /** A local layer's query sees itself and `slidingWindow - 1` tokens before it. */
  readonly slidingWindow: number | null;
  readonly layerTypes: readonly LayerType[];
  readonly ropeTheta: number;
  readonly ropeLocalTheta: number;
  /** Positions are divided by this on global layers (Gemma 3 4B and larger: 8). */
  readonly ropeScalingFactor: number;
  readonly padTokenId: number;
  readonly bosTokenId: number;
  readonly eosTokenIds: readonly number[];
}
