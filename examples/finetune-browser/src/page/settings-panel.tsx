import { formatBytes } from '@lapidary/trainer';
import { Problem } from '../session/problem.js';
import type { PlanReport, Settings } from '../session/protocol.js';
import { inLabels } from './labels.js';
import { ProblemNote } from './problem-note.js';
import { canStart, changeSettings, plan, settings, start } from './state.js';

type Field = Exclude<keyof Settings, 'gradientCheckpointing'>;
const fields: readonly { name: Field; label: string; help: string; step: string; min: string }[] = [
  { name: 'steps', label: 'Steps', help: 'How often the model is changed a little', step: '1', min: '1' },
  { name: 'learningRate', label: 'Learning rate', help: 'How much each time', step: 'any', min: '0' },
  { name: 'batchSize', label: 'Rows a step', help: 'More are steadier, and take memory', step: '1', min: '1' },
  { name: 'maxLength', label: 'Longest row', help: 'Tokens: about ¾ of a word each', step: '1', min: '2' },
  {
    name: 'rank',
    label: 'LoRA rank',
    help: 'Size of the adapter: of what is learned beside the model',
    step: '1',
    min: '1',
  },
  {
    name: 'answers',
    label: 'Answers to check',
    help: 'Held-out rows that it answers before and after',
    step: '1',
    min: '0',
  },
  { name: 'seed', label: 'Seed', help: 'The same seed, the same run', step: '1', min: '0' },
];

export function SettingsPanel() {
  return (
    <section class="card" aria-labelledby="settings-title">
      <h2 id="settings-title">3. Train</h2>
      <Fit />
      <details>
        <summary>Settings</summary>
        <div class="fields">
          {fields.map(({ name, label, help, step, min }) => (
            <label key={name}>
              {label}
              <input
                type="number"
                inputMode="decimal"
                name={name}
                step={step}
                min={min}
                value={settings.value[name] ?? ''}
                required
                // At once: a plan that comes meanwhile draws the field anew, and would take back what is being typed.
                onInput={({ currentTarget: input }) =>
                  input.checkValidity() && changeSettings({ [name]: input.valueAsNumber })
                }
                onChange={({ currentTarget: input }) => {
                  // What is no number of this kind is said by the browser, and the last good one stays.
                  if (input.reportValidity()) changeSettings({ [name]: input.valueAsNumber });
                  else input.value = String(settings.value[name]);
                }}
              />
              <small class="quiet">{help}</small>
            </label>
          ))}
          <label class="switch">
            <input
              type="checkbox"
              name="gradientCheckpointing"
              checked={settings.value.gradientCheckpointing}
              onChange={({ currentTarget }) => changeSettings({ gradientCheckpointing: currentTarget.checked })}
            />
            Save memory
            <small class="quiet">Computes some things twice: about a third slower, much less memory</small>
          </label>
        </div>
      </details>
      <button type="button" class="main" disabled={!canStart.value} onClick={start}>
        Start fine-tuning
      </button>
    </section>
  );
}

function Fit() {
  const { value } = plan;
  if (value instanceof Problem) return <ProblemNote problem={value} />;
  if (value === null) return <p class="quiet">What the run takes shows here once a model and rows are chosen.</p>;
  if (value === 'planning') return <p class="quiet">Planning …</p>;
  return (
    <>
      <p class="facts" data-testid="plan-facts">
        {value.steps} steps over {value.trainRows} rows ({value.epochs.toFixed(1)} times each), {value.heldRows} rows
        held out to measure; {value.trainableParameters.toLocaleString('en')} parameters learn.
      </p>
      <Verdict plan={value} />
      <Memory plan={value} />
      {value.notices.map((notice) => (
        <p key={notice} class="quiet">
          {notice}
        </p>
      ))}
    </>
  );
}

function Verdict({ plan: { fit } }: { plan: PlanReport }) {
  const { fits, reason, advice } = fit;
  const [tone, word] = fits === false ? ['bad', 'Does not fit'] : fits ? ['good', 'Fits'] : ['amber', 'Should fit'];
  return (
    <div class={`verdict ${tone}`} role="status" data-testid="fit">
      <strong>{word}</strong>: {reason}.
      {fits !== true && advice.length > 0 && (
        <details open={fits === false}>
          <summary>What makes it smaller</summary>
          <ul>
            {advice.map((line) => (
              <li key={line}>{inLabels(line)}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function Memory({ plan: { memory, totalBytes } }: { plan: PlanReport }) {
  return (
    <table class="memory">
      <caption>GPU memory, planned before any is taken</caption>
      <tbody>
        {memory.map(({ category, bytes }) => (
          <tr key={category}>
            <th scope="row">{category}</th>
            <td class="number">{formatBytes(bytes)}</td>
            <td class="share">
              <meter min={0} max={totalBytes} value={bytes} aria-label={`${category}, share of all`} />
            </td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">Together</th>
          <td class="number">{formatBytes(totalBytes)}</td>
          <td />
        </tr>
      </tfoot>
    </table>
  );
}
