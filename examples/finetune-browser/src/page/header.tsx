import { device } from './state.js';
import { Problem } from '../session/problem.js';

export function Header() {
  return (
    <header>
      <h1>Fine-tune Gemma on this machine</h1>
      <p class="promise">
        <strong>Nothing leaves this machine.</strong> The model learns from your rows here, on your own graphics card,
        in this page.
      </p>
      <DeviceLine />
    </header>
  );
}

function DeviceLine() {
  const { value } = device;
  if (value instanceof Problem) return null;
  if (value === null) return <p class="device quiet">Looking for a graphics adapter …</p>;
  const notes = [
    value.isSoftware && 'It computes on the processor: slow, but enough for the small model.',
    !value.hasF16 && 'It has no shader-f16; none is needed, sums are kept in 32 bits anyway.',
  ].filter(Boolean);
  return (
    <p class="device quiet" data-testid="device">
      <span class={value.isSoftware ? 'dot amber' : 'dot green'} aria-hidden="true" /> {value.name}. {notes.join(' ')}
    </p>
  );
}
