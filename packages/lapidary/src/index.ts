export type * from './engine.js';
export { TextModel, type AnswerEnd, type AnswerOptions, type TextModelOptions } from './text-model.js';
export * from '@lapidary/trainer';
export { describeAdapter, openGpu, type Gpu } from '@lapidary/gpu';
export { gemmaWeightLoader, modelWeightLoader, paliGemmaWeightLoader } from '@lapidary/weights';
