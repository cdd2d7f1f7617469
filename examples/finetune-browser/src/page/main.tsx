import { effect } from '@preact/signals';
import { render } from 'preact';
import { App } from './app.js';
import { begin, isBusy, run } from './state.js';
import './style.css';

const title = document.title;
// Seen while another tab is in front.
effect(() => {
  const { steps = [], totalSteps } = run.value ?? {};
  document.title = isBusy.value && steps.length > 0 ? `${steps.at(-1)!.step} of ${totalSteps} – ${title}` : title;
});
// Steps since the last checkpoint would be done again.
addEventListener('beforeunload', (event) => isBusy.value && event.preventDefault());

render(<App />, document.getElementById('app')!);
void begin();
