import type { TokenLosses, Tensor, Tree } from '@lapidary/tensor';
import type { RgbImage } from '../image/rgb-image.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { ChatTemplate } from '../text/chat-template.js';
import type { ggufTokenizers } from './gguf-tokenizers.js';
import type { PictureText } from '../text/picture-text.js';
import type { GgufMetadata } from './gguf-value.js';
import type { HfConfig, HfFiles, Layout } from './layout.js';

// What everything above asks of an architecture. A family is a value that says all of it; to add one is to add a folder here and
// a line in `registry.ts`.

/** Any model's configuration: plain data that can be written down. Which fields it has beside `family` is its family's business. */
export interface ModelConfig {
  /** `id` of the family that it is of. */
  readonly family: string;
}

/**
 * What a parameter is, for all that treat parameters alike: a `linear` [out, in] can have a LoRA; a `table` holds a row for each word or
 * place; a `norm` scales what it normalises; a `bias` is added; a `kernel` is any other weight (a patch embedding, a layer's scalar).
 */
export type ParamRole = 'linear' | 'table' | 'norm' | 'bias' | 'kernel';

/** Starting values of a parameter that no file holds: all of one value, or normal with this standard deviation. */
export type Initial = { readonly value: number } | { readonly std: number };

/** One parameter of a model. */
export interface ParamSpec {
  /** `layers.3.attn.qProj.weight`. */
  readonly path: string;
  /** Row-major; a linear's weight is [out, in]. */
  readonly shape: readonly number[];
  readonly role: ParamRole;
  /** Part of the model that it belongs to: `language`, `vision`, `projector`. A text model is all `language`. */
  readonly tower: string;
  /** Layer of its tower; undefined outside of layers. */
  readonly layer?: number;
  /**
   * Number of the block that computes with it, counted over all towers: blocks can be computed again in the backward pass, the first ones
   * first. Undefined outside of blocks.
   */
  readonly block?: number;
  readonly initial: Initial;
  /**
   * A `table` with a row for each word that is too large for a device: it stays in its file, where the rows of a step's tokens are read.
   * It is never trained, and a model has at most one. Default false.
   */
  readonly isOnHost?: boolean;
  /** A number of the architecture that files hold: it is never trained. Default false. */
  readonly isConstant?: boolean;
}

/** How positions turn queries and keys of a layer. */
export interface RopeGeometry {
  readonly theta: number;
  /** Positions are divided by this. */
  readonly scalingFactor: number;
  /**
   * The first so many pairs (j, j + D/2) of a head turn, still by θ^(−2j/D) of the whole D; the others stay as they are. What transformers
   * calls "proportional" rope: ⌊partial_rotary_factor · D/2⌋ of them. Left out: all.
   */
  readonly rotatedPairs?: number;
}

/** One layer of a decoder: any two may differ. */
export interface LayerGeometry {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  /** A query sees itself and `window − 1` tokens before it, and as many after it where tokens see each other; null for all. */
  readonly window: number | null;
  readonly rope: RopeGeometry;
  /** The layer whose keys and values it attends to: its own number, or that of an earlier layer. */
  readonly kvFrom: number;
}

/** What a vision tower takes. */
export interface VisionGeometry {
  /** Pixels a side. */
  readonly imageSize: number;
  readonly patchSize: number;
  /** Places that one picture takes among the tokens. */
  readonly tokensPerImage: number;
  /** Stands for each of these places in a list of token ids. */
  readonly imageToken: number;
  /** Whether a picture's tokens see each other in both directions, as one block. */
  readonly isBlock: boolean;
  /** Patches of one picture. */
  readonly patchesPerImage: number;
  /** Values of one patch: channels · patchSize². */
  readonly patchValues: number;
}

/** How a model is spoken to. */
export interface PromptForm {
  /**
   * Texts that stand before a prompt in any case: `<bos>`. A prompt may begin with them, and has them once then too.
   */
  opening(tokenizer: Tokenizer): readonly string[];
  /**
   * Token ids that an answer to a plain prompt about so many pictures (default none) follows, beginning-of-sequence and the pictures'
   * places included. @throws PromptImagesError
   */
  encodePrompt(prompt: string, tokenizer: Tokenizer, pictures?: number): number[];
  /** How a text says where its pictures stand; undefined where there are none, or they come before it. */
  readonly pictureText?: (tokenizer: Tokenizer) => PictureText;
  /** Whether the tokens of pictures and prompt see each other in both directions, as one block. */
  readonly isPrefixBidirectional: boolean;
  /** Whether it takes conversations, and texts to go on with. One that does not answers single prompts. */
  readonly takesChat: boolean;
  /** How a conversation is written where the tokenizer says nothing; null for one that needs the template it was published with. */
  readonly chatTemplate: ChatTemplate | null;
  /** The same in Jinja, for files. */
  readonly chatTemplateSource: string | null;
  /** Whether every row must be a prompt with at least one picture. */
  readonly needsPictures: boolean;
  /** What its rows look like, for messages: `{"prompt": "…", "completion": "…"}`. */
  readonly rowExample: string;
  /** What llama.cpp makes a tokenizer from: see `ggufTokenizers`. Default `pieces`. */
  readonly ggufTokenizer?: keyof typeof ggufTokenizers;
  /** Tokens beside the configuration's and the tokenizer's that end an answer: `<end_of_turn>`. The first ends a turn. */
  stopTokens(tokenizer: Tokenizer): readonly number[];
}

/** How a model turns a text into one vector. Its tokens see each other in both directions: they are one block of their row. */
export interface EmbeddingHead {
  /** Values of a vector, largest first: all of them, and fewer that it may be cut to, unit length again (arXiv:2205.13147). */
  readonly sizes: readonly [number, ...number[]];
  /** What stands before a text, by what it is for: `query`: `task: search result | query: `. */
  readonly prompts: Readonly<Record<string, string>>;
  /**
   * Unit vectors f32 [B, sizes[0]] of the hidden stream f32 [B, T, d]. `tokenWeights` f32 [B, T]: 1 / n for each of a row's n tokens, 0 for
   * padding.
   */
  embed(params: ParamTree, hidden: Tensor, tokenWeights: Tensor): Tensor;
}

/** A tree of parameters as a model's functions take it; adapters stand as `lora`, with its scale, beside the weight of their linear. */
export type ParamTree = Tree<Tensor | number>;

/** What a forward pass computes with: B rows of T tokens, and I pictures anywhere among them. */
export interface ModelInputs {
  /** i32 [B, T]: −1 where a picture's token stands. */
  readonly inputIds: Tensor;
  /** i32 [B, T, 4]: (segment, block, position, 0); see `attention` of @lapidary/tensor. */
  readonly tokenInfo: Tensor;
  /** f32 [I, patchesPerImage, patchValues]: the pictures of all rows. Left out: none, or seen before (generation). */
  readonly patches?: Tensor;
  /**
   * [B·T, w]: the rows of the parameter that `isOnHost` for the tokens of `inputIds`, in the dtype of its file. Left out where the model has
   * no such parameter.
   */
  readonly hostRows?: Tensor;
  /** i32 [B, T], with `patches`: which of the pictures' tokens, I · tokensPerImage in order, stands there; −1: one of the text. */
  readonly pictureRows?: Tensor;
}

/** Keys and values of earlier tokens, for generation. */
export interface KvCache {
  /** f32 [B·S, K·D] each: for every layer that has keys and values of its own (`kvFrom` is itself), in order. */
  readonly layers: readonly { readonly k: Tensor; readonly v: Tensor }[];
  /** i32 [B·T]: rows of the cache that the new tokens' keys and values go to. */
  readonly slots: Tensor;
  /** i32 [B, S, 4]: records of the cached tokens, the new ones included; segment 0 where there is none yet. */
  readonly keyInfo: Tensor;
}

/** How a forward pass runs. */
export interface ForwardOptions {
  /** Multiplies embeddings. Default √d unrounded, as in an f32 run of transformers; the bf16 run rounds it to bf16. */
  readonly embedScale?: number;
  /** Share of a low-rank update's inputs that is dropped, with the step's seed (i32 [1]). Default none. */
  readonly loraDropout?: { readonly rate: number; readonly seed: Tensor };
  /** Computes blocks again in the backward pass instead of keeping their values: all of them, or the first so many. */
  readonly gradientCheckpointing?: boolean | number;
  readonly cache?: KvCache;
}

/** A part of a model that is a model itself, and may be loaded from files of its own: PaliGemma's decoder. */
export interface ModelPart {
  /** What the paths of its parameters begin with in the whole model: `language.`. */
  readonly prefix: string;
  readonly model: Model;
}

/** Which files: `safetensors` with a config.json, a GGUF, or an npz. */
export type WeightFormat = 'safetensors' | 'gguf' | 'npz';

/** A model of some configuration: everything that loading, training, generation and export ask of it. Plain data and pure functions. */
export interface Model<C extends ModelConfig = ModelConfig> {
  readonly config: C;
  /** What it is called: `Gemma 3`, for messages. */
  readonly name: string;
  /** `gemma3 with 18 layers`, for messages. */
  readonly title: string;
  /** Every parameter, in the order a forward pass meets them. */
  readonly params: readonly ParamSpec[];
  /** The decoder's layers. */
  readonly layers: readonly LayerGeometry[];
  /** Blocks of all towers that can be computed again: `ParamSpec.block` is below it. */
  readonly numBlocks: number;
  readonly hiddenSize: number;
  /** Words that the tokenizer may give. */
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly eosTokenIds: readonly number[];
  /** Undefined for a model that sees no pictures. */
  readonly vision?: VisionGeometry;
  /** Undefined for a model that answers; one that has it answers nothing. */
  readonly embedding?: EmbeddingHead;
  /**
   * Patches f32 [patchesPerImage, patchValues] of a picture as weights of this format were trained on, or by another preset.
   * @throws RangeError for a preset that is none of the family's
   */
  readonly preparePicture?: (
    image: RgbImage,
    how: { readonly format: WeightFormat; readonly preset?: string },
  ) => Float32Array;
  /** Says in Python how pictures are prepared: a preprocessor_config.json, for a checkpoint that came without one. */
  readonly preprocessorConfig?: Readonly<Record<string, unknown>>;
  readonly prompt: PromptForm;
  /** What SentencePiece's model of its tokenizer may be called, where there is no tokenizer.json: `tokenizer.model`. */
  readonly tokenizerFiles: readonly string[];
  /** Path of the table of words, which is the output projection too. */
  readonly embeddingPath: string;
  /**
   * Path of an output projection apart from it, which `logits` goes by where the tree has one. It is none of `params`: only adapters bring
   * it. Undefined for a model that cannot have one.
   */
  readonly headPath?: string;
  /** Parts that may come from files of their own, by what a loader calls them. */
  readonly parts: Readonly<Record<string, ModelPart>>;
  /**
   * The same model without what only pictures need, by the same paths: what it is where there are none, and in a GGUF. Undefined for one
   * that sees none, or must.
   */
  readonly textPart?: Model;
  /** How files of a format hold the parameters; undefined where there are no such files. */
  readonly layouts: Readonly<Partial<Record<WeightFormat, Layout>>>;
  /** Settings for people, by name: `inspect` prints them. */
  readonly settings: Readonly<Record<string, string | number | boolean | null>>;

  /**
   * The residual stream after the last norm, f32 [B, T, d], and the caches with the new keys and values in them, in the order of
   * `KvCache.layers`; none without a cache.
   */
  forward(
    params: ParamTree,
    inputs: ModelInputs,
    options?: ForwardOptions,
  ): { hidden: Tensor; cache: readonly { k: Tensor; v: Tensor }[] };
  /** Logits f32 [R, V] of rows of the hidden stream, f32 [R, d]. For a few rows: V is large. */
  logits(params: ParamTree, rows: Tensor): Tensor;
  /**
   * Cross-entropy in nats of rows of the hidden stream, f32 [R, d], with `targets` i32 [R], 0 where a target is negative; and which of
   * them no token is likelier than.
   */
  tokenLosses(
    params: ParamTree,
    rows: Tensor,
    targets: Tensor,
    options?: { readonly labelSmoothing?: number },
  ): TokenLosses;
  /** The model's config.json in Hugging Face's form, without a dtype; in the form of `base`, the config.json of its checkpoint, if given. */
  toHf(base?: HfConfig): Record<string, unknown>;
  /**
   * Further JSON files of its checkpoint, as `HfReader.gather` reads them; of those that `base` has, the checkpoint's own. Undefined where
   * there are none.
   */
  readonly hfFiles?: (base?: HfFiles) => HfFiles;
  /**
   * What a GGUF's metadata say of the architecture, `general.architecture` included; undefined for a model that llama.cpp has no form of.
   * @throws ConfigError, by the promise, naming a field that they cannot say
   */
  readonly toGguf?: () => Promise<GgufMetadata>;
}

/** How configurations of a family are read from Hugging Face's checkpoints. */
export interface HfReader<C extends ModelConfig = ModelConfig> {
  /** `model_type`s of its config.json. */
  readonly modelTypes: readonly string[];
  /** Whether a config.json of these types is its own, where another family has them too. Default: whatever that family does not want. */
  readonly isOwn?: (json: HfConfig) => boolean;
  /** Reads further JSON files that say what the model is like; `readJson` gives undefined for one that is not there. Default: none. */
  readonly gather?: (readJson: (file: string) => Promise<unknown>) => Promise<HfFiles>;
  /** `tell`s of fields that it leaves out of account. `files`: what was gathered. @throws ConfigError naming the field */
  read(json: unknown, tell?: (notice: string) => void, files?: HfFiles): C;
}

/** Where a family's configurations are read from, and everything it knows by itself. */
export interface ModelFamily<C extends ModelConfig = ModelConfig> {
  /** `ModelConfig.family` of its configurations. */
  readonly id: string;
  /** Its released sizes by name. */
  readonly presets: Readonly<Record<string, C>>;
  /** Last names of its linears that can have a LoRA: `qProj`. */
  readonly linears: readonly string[];
  /** Parts of its models, see `ParamSpec.tower`. */
  readonly towers: readonly string[];
  /** Names of ways to prepare pictures, beside the published one. */
  readonly imagePresets?: readonly string[];
  /** From a config.json. */
  readonly hf?: HfReader<C>;
  /** From a GGUF's metadata: the `general.architecture`s that are its own. @throws ConfigError naming the key */
  readonly gguf?: { readonly architectures: readonly string[]; read(metadata: Readonly<Record<string, unknown>>): C };
  /** From the shapes of an npz's arrays by name, which say the configuration. @throws ArrayShapesError, ConfigError */
  readonly npz?: { read(shapes: ReadonlyMap<string, readonly number[]>): C };
  /** The model of a configuration. @throws ConfigError naming the field, where its values can be no model's */
  describe(config: C): Model<C>;
}
