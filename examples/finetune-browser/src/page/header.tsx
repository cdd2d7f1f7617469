import { device } from './state.js';
import { Problem } from '../session/problem.js';

export function Header() {
  return (
    <header>
      <h1>Fine-tune Gemma on this machine</h1>
      <p class="promise">
        <strong>Nothing leaves this machine.</strong> You give examples of what a model should answer; it learns from
        them here, in this page, on your own graphics card.
      </p>
      <DeviceLine />
    </header>
  );
}

function DeviceLine() {
  const { value } = device;
  if (value instanceof Problem) return null;
  if (value === null) return <p class="device quiet">Looking for a GPU …</p>;
  const notes = [
    value.isSoftware && 'No GPU was found, so the processor computes: slow, but enough for the small models.',
    !value.hasF16 && 'It has no shader-f16 (arithmetic in 16 bits); this page needs none.',
  ].filter(Boolean);
  return (
    <p class="device quiet" data-testid="device">
      <span class={value.isSoftware ? 'dot amber' : 'dot green'} aria-hidden="true" /> {value.name}. {notes.join(' ')}
    </p>
  );
}
