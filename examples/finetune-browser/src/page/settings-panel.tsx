import { formatBytes } from '@lapidary/trainer';
import { useComputed } from '@preact/signals';
import { Problem } from '../session/problem.js';
import type { PlanReport, Settings } from '../session/protocol.js';
import { inLabels, plainWordsFor, withoutFlags } from './labels.js';
import { ProblemNote } from './problem-note.js';
import { canStart, changeSettings, plan, settings, start } from './state.js';

type Field = Exclude<keyof Settings, 'gradientCheckpointing'>;
interface FieldText {
  readonly name: Field;
  readonly label: string;
  readonly help: string;
  readonly step: string;
  readonly min: string;
}
const fields: readonly FieldText[] = [
  { name: 'steps', label: 'Steps', help: 'How often it looks at some rows and changes a little', step: '1', min: '1' },
  {
    name: 'learningRate',
    label: 'Learning rate',
    help: 'How large a change is: too large spoils it, too small learns little',
    step: 'any',
    min: '0',
  },
  {
    name: 'batchSize',
    label: 'Rows a step',
    help: 'How many it looks at each time: more are steadier, and take memory',
    step: '1',
    min: '1',
  },
  { name: 'maxLength', label: 'Longest row', help: 'In tokens, each about ¾ of a word', step: '1', min: '2' },
  {
    name: 'rank',
    label: 'Adapter size',
    help: 'Rank of the LoRA adapter, the small addition that learns while the model stays as it is',
    step: '1',
    min: '1',
  },
  {
    name: 'answers',
    label: 'Answers to check',
    help: 'Rows it does not learn from, answered before and after',
    step: '1',
    min: '0',
  },
  { name: 'seed', label: 'Seed', help: 'Chance begins here: the same seed gives the same run', step: '1', min: '0' },
];

export function SettingsPanel() {
  return (
    <section class="card" aria-labelledby="settings-title">
      <h2 id="settings-title">3. Train</h2>
      <Fit />
      <details>
        <summary>Settings</summary>
        <div class="fields">
          {fields.map((field) => (
            <NumberField key={field.name} field={field} />
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
      <StartButton />
    </section>
  );
}

function NumberField({ field: { name, label, help, step, min } }: { field: FieldText }) {
  // Drawn anew only when this number changes: whatever else changes meanwhile leaves alone what is being typed.
  const { value } = useComputed(() => settings.value[name] ?? '');
  return (
    <label>
      {label}
      <input
        type="number"
        inputMode="decimal"
        name={name}
        step={step}
        min={min}
        value={value}
        required
        onInput={({ currentTarget: input }) => input.checkValidity() && changeSettings({ [name]: input.valueAsNumber })}
        onChange={({ currentTarget: input }) => {
          // What is no number of this kind is said by the browser, and the last good one stays.
          if (!input.reportValidity()) input.value = String(settings.value[name]);
        }}
      />
      <small class="quiet">{help}</small>
    </label>
  );
}

function StartButton() {
  return (
    <button type="button" class="main" disabled={!canStart.value} onClick={start}>
      Start fine-tuning
    </button>
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
        {value.steps} steps over {value.trainRows} rows: it sees each {value.epochs.toFixed(1)} times. {value.heldRows}{' '}
        other rows are kept back to test it. An adapter of {value.trainableParameters.toLocaleString('en')} parameters
        learns.
      </p>
      <Verdict plan={value} />
      <Memory plan={value} />
      {value.notices.map((notice) => (
        <p key={notice} class="quiet">
          {withoutFlags(notice)}
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
    <details>
      <summary>GPU memory: {formatBytes(totalBytes)}</summary>
      <table class="memory">
        <caption>Known before any is taken</caption>
        <tbody>
          {memory.map(({ category, bytes }) => (
            <tr key={category}>
              <th scope="row">{plainWordsFor(category)}</th>
              <td class="number">{formatBytes(bytes)}</td>
              <td class="share">
                <meter min={0} max={totalBytes} value={bytes} aria-label={`${plainWordsFor(category)}, share of all`} />
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
    </details>
  );
}
