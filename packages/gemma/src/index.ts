// Configurations and models
export * from './model.js';
export * from './families/index.js';
export { hostRowsInput } from './models/host-rows-input.js';
export { initialParam } from './models/initial-param.js';
export { initialLora, loraSpecs, loraUpdates, type LoraOptions, type LoraSpec } from './models/lora.js';
export { sumTokenLosses, type TokenTargets } from './models/token-losses.js';
export { checkPictureTokens, pictureTypes, placeTokens, type PlacedTokens } from './models/place-pictures.js';
export { paramTree, planVariables, type ParamPlan } from './models/variables.js';

// Generation
export { ContextLengthError, Generator, GeneratorStateError, type GenerateOptions } from './generate.js';
export {
  type GenerationOptions,
  type GenerationPlan,
  planGeneration,
  type ModelPrompt,
  type PromptSize,
} from './generation-plan.js';

// Vectors of texts
export {
  Embedder,
  type Embedded,
  type EmbedderModel,
  type EmbedderOptions,
  type EmbedOptions,
} from './embed/embedder.js';
export { EmbeddingError, promptOf } from './embed/prompt-of.js';
export { cutTokens, textBatch, type TextBatch } from './embed/text-batch.js';

// Text
export {
  ChatTemplateError,
  contentText,
  imageParts,
  turnsOfModel,
  type ChatMessage,
  type ChatTemplateKwargs,
  type ChatTools,
  type ImagePart,
  type TextPart,
  type ToolCall,
} from './text/chat-message.js';
export {
  chatTemplateOf,
  compileChatTemplate,
  type ChatTemplate,
  type RenderedChat,
  type TemplateOptions,
} from './text/chat-template.js';
export {
  encodeChat,
  encodeChatPrompt,
  lastAnswer,
  renderChat,
  type EncodeChatOptions,
  type EncodedChat,
} from './text/encode-chat.js';
export { callStarts, readFunctionCalls, sameFunctionCalls, type FunctionCall } from './text/function-calls.js';
export { JsonFloat, jsonFloatKey, parseJsonWithFloats, withJsonFloats } from './text/json-float.js';
export { heldBack, withoutEnding, withoutOpening } from './text/markers.js';
export { stopTokensOf } from './text/stop-tokens.js';
export { thoughtsIn } from './text/template-messages.js';
export { createThoughtFilter, opensThought, splitThoughts, thoughtStart, type AnswerParts } from './text/thoughts.js';
export type { PicturePlaces, PictureText } from './text/picture-text.js';
export { PromptImagesError } from './text/prompt-images-error.js';
export {
  checkSampling,
  createRandom,
  createSampler,
  type DrawOptions,
  greedy,
  nextTokenProbabilities,
  sampleToken,
  SamplingError,
  type SamplingOptions,
  samplingRules,
} from './text/sampling.js';
export {
  createTextStream,
  IllFormedTextError,
  TokenizerError,
  specialTexts,
  tokenizerFromJson,
  withChatTemplate,
  type Tokenizer,
} from './text/tokenizer.js';
export { chatTemplateFiles, chatTemplatesOf, type ChatTemplates } from './text/chat-template.js';
export { tokenizerFilesFromGguf, tokenizerFromGguf } from './text/tokenizer-gguf.js';
export type { TokenizerFiles } from './text/tokenizer-pieces.js';
export { tokenizerToGguf, type GgufTokenizerOptions, type TokenizerOrigin } from './text/tokenizer-to-gguf.js';
export { tokenizerFilesFromSentencePiece, tokenizerFromSentencePiece } from './text/tokenizer-sentencepiece.js';

// Images
export { boxesToSvg, type BoxesToSvgOptions } from './image/boxes-to-svg.js';
export { decodeImage, type DecodeImageOptions } from './image/decode-image.js';
export { DetectionLabelError, type DetectedBox, type MalformedDetection } from './image/detection-tokens.js';
export { drawBoxes, type BoxToDraw, type DrawBoxesOptions } from './image/draw-boxes.js';
export { ImageError, type ImageProblem } from './image/image-error.js';
export { labelColour, type Colour } from './image/label-colour.js';
export { formatBoxes, parseBoxes, type ParsedBoxes } from './image/location-tokens.js';
export { patchify } from './image/patchify.js';
export { resizeImage, type ResizeMethod, type ResizeOptions } from './image/resize-image.js';
export type { FloatImage, RgbImage } from './image/rgb-image.js';
export {
  formatSegments,
  parseSegments,
  type DetectedSegment,
  type ParsedSegments,
} from './image/segmentation-tokens.js';
