import { useRef } from 'preact/hooks';
import { discard } from './state.js';

/** Throws a run away, after a question. */
export function DiscardButton({ id, label, title = label }: { id: string; label: string; title?: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = `discard-${id}`;
  return (
    <>
      <button type="button" class="quiet-button" aria-label={title} onClick={() => dialog.current?.showModal()}>
        {label}
      </button>
      <dialog ref={dialog} aria-labelledby={heading}>
        <h2 id={heading}>Throw this run away?</h2>
        <p>What it has learned is deleted from this browser. This cannot be undone.</p>
        <form method="dialog" class="actions">
          <button type="submit" class="danger" value="discard" onClick={() => void discard(id)}>
            Throw away
          </button>
          <button type="submit" value="keep">
            Keep
          </button>
        </form>
      </dialog>
    </>
  );
}
