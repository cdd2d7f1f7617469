export type * from './engine.js';
export type { AnswerEnd, AnswerOptions, AnswerSession, SessionSize } from './answer-session.js';
export { AdapterNameError, TextModel, type AdapterChoice, type TextModelOptions } from './text-model.js';
export { evaluateModel, type EvaluateOptions } from './evaluate/evaluate-model.js';
export * from '@lapidary/trainer';
export * from '@lapidary/gpu';
export * from '@lapidary/weights';
