import { discard, open, savedRuns } from './state.js';

/** Runs of earlier visits: finished ones to look at and chat with, others to go on with. */
export function SavedRuns() {
  if (savedRuns.value.length === 0) return null;
  return (
    <section class="card" aria-labelledby="saved-title">
      <h2 id="saved-title">Your runs in this browser</h2>
      <ul class="saved">
        {savedRuns.value.map((saved) => (
          <li key={saved.id}>
            <span class="grow">
              <strong>{saved.dataName}</strong> on {saved.modelName}
              <span class="quiet">
                {' '}
                · {new Date(saved.createdAt).toLocaleString()} ·{' '}
                {saved.isFinished ? 'done' : `step ${saved.savedStep} of ${saved.settings.steps} is saved`}
              </span>
            </span>
            <button type="button" onClick={() => open(saved)}>
              Open
            </button>
            <button
              type="button"
              class="quiet-button"
              aria-label={`Delete ${saved.dataName}`}
              onClick={() => void discard(saved.id)}
            >
              Delete
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
