export type * from './engine.js';
export type { AdapterChoice, AnswerEnd, AnswerOptions, AnswerSession, SessionSize } from './answer-session.js';
export type { Conversation } from './conversation.js';
export { AdapterNameError, TextModel, type TextModelOptions } from './text-model.js';
export { evaluateModel, type EvaluateOptions } from './evaluate/evaluate-model.js';
export * from '@lapidary/trainer';
export * from '@lapidary/gpu';
export * from '@lapidary/weights';
