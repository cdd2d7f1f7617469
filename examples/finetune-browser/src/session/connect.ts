import { wrap, type Remote } from 'comlink';
import { keepProblemsWhole, Problem } from './problem.js';
import type { TrainingSession } from './training-session.js';

/** Starts the worker. A worker that cannot be loaded, or that fell over, answers nothing any more: `onCrash` is told. */
export function startSession(onCrash: (problem: Problem) => void): Remote<TrainingSession> {
  keepProblemsWhole();
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  worker.addEventListener('error', ({ message }) =>
    onCrash(
      new Problem({
        name: 'WorkerError',
        message: message || 'Its script could not be loaded.',
        hint: 'Load the page again: a run goes on from its last checkpoint.',
      }),
    ),
  );
  return wrap<TrainingSession>(worker);
}
