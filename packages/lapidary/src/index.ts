export type * from './engine.js';
export * from '@lapidary/trainer';
