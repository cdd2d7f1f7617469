import { formatBytes } from '@lapidary/trainer';
import { listCachedWeights, removeCachedWeights, type CachedWeights } from '@lapidary/weights';
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { problemOf, type Problem } from '../session/problem.js';
import { ProblemNote } from './problem-note.js';

/** Models that were fetched and are kept in the browser, and how to be rid of them. */
export function StoragePanel() {
  const kept = useSignal<readonly CachedWeights[]>([]);
  const usage = useSignal<StorageEstimate>({});
  const problem = useSignal<Problem | null>(null);
  const refresh = async () => {
    kept.value = await listCachedWeights();
    usage.value = await navigator.storage.estimate();
  };
  const remove = (name: string) =>
    removeCachedWeights(name)
      .then(refresh)
      .catch((error: unknown) => (problem.value = problemOf(error)));
  useEffect(() => void refresh().catch(() => undefined), []);
  if (kept.value.length === 0) return null;
  const { usage: used = 0, quota = 0 } = usage.value;
  return (
    <section class="card" aria-labelledby="storage-title">
      <h2 id="storage-title">Models kept in this browser</h2>
      <ul class="saved">
        {kept.value.map(({ name, bytes, totalBytes, isWhole }) => (
          <li key={name}>
            <span class="grow">
              <strong>{name}</strong>
              <span class="quiet">
                {' '}
                · {isWhole ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`}
              </span>
            </span>
            <button type="button" class="quiet-button" aria-label={`Delete ${name}`} onClick={() => void remove(name)}>
              Delete
            </button>
          </li>
        ))}
      </ul>
      <p class="quiet">
        This page uses {formatBytes(used)} of the {formatBytes(quota)} that the browser allows it.
      </p>
      {problem.value && <ProblemNote problem={problem.value} />}
    </section>
  );
}
