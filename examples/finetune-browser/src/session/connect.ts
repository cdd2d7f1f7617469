import { wrap, type Remote } from 'comlink';
import { keepProblemsWhole } from './problem.js';
import type { TrainingSession } from './training-session.js';

/** Starts the worker. */
export function startSession(): Remote<TrainingSession> {
  keepProblemsWhole();
  return wrap<TrainingSession>(new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }));
}
