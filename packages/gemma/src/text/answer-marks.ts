import { callMarks } from './function-calls.js';
import { thoughtMarks } from './thoughts.js';

/**
 * Marks within an answer, for who reads it. Tokenizers call them special, as they do those around a turn; in the text of an answer they stay
 * all the same: without them nobody could tell a thought or a call from what is said.
 */
export const answerMarks: readonly string[] = [...thoughtMarks, ...callMarks];
