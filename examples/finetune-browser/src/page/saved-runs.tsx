import { DiscardButton } from './discard-button.js';
import { ProblemNote } from './problem-note.js';
import { listProblem, open, savedRuns } from './state.js';

/** Runs of earlier visits: finished ones to look at and chat with, others to go on with. */
export function SavedRuns() {
  if (listProblem.value === null && savedRuns.value.length === 0) return null;
  return (
    <section class="card" aria-labelledby="saved-title">
      <h2 id="saved-title">Your runs in this browser</h2>
      {listProblem.value && <ProblemNote problem={listProblem.value} />}
      <ul class="saved">
        {savedRuns.value.map(({ id, dataName, modelName, createdAt, isFinished, savedStep, settings }) => (
          <li key={id}>
            <span class="grow">
              <strong>{dataName}</strong> on {modelName}
              <span class="quiet">
                {' '}
                · {new Date(createdAt).toLocaleString()} ·{' '}
                {isFinished ? 'done' : `step ${savedStep} of ${settings.steps} is saved`}
              </span>
            </span>
            <button type="button" onClick={() => void open(id)}>
              Open
            </button>
            <DiscardButton id={id} label="Delete" title={`Delete ${dataName}`} />
          </li>
        ))}
      </ul>
    </section>
  );
}
