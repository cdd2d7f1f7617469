import type { SavedModel } from '../session/protocol.js';
import { chooseRunFiles } from './state.js';

/** Asks for the files of a run's model again: a page cannot keep what lies on disk. */
export function ModelFiles({ saved, purpose }: { saved: SavedModel; purpose: string }) {
  if (saved.kind !== 'files') return null;
  return (
    <label class="file">
      To {purpose}, choose the model’s files again: {saved.files.join(', ')}
      <input type="file" multiple onChange={({ currentTarget }) => chooseRunFiles([...(currentTarget.files ?? [])])} />
    </label>
  );
}
