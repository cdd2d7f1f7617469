export type * from './engine.js';
export { TextModel, type AnswerEnd, type AnswerOptions, type TextModelOptions } from './text-model.js';
export * from '@lapidary/trainer';
export * from '@lapidary/gpu';
export * from '@lapidary/weights';
