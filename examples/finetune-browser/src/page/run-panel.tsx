import { formatBytes, formatNumber, formatSeconds } from '@lapidary/trainer';
import { followPointer, renderLossChart } from '@lapidary/trainer/report';
import { useComputed, useSignal } from '@preact/signals';
import { Problem, problemOf } from '../session/problem.js';
import { ProblemNote } from './problem-note.js';
import { SamplesPanel } from './samples-panel.js';
import { plainWordsFor, withoutFlags } from './labels.js';
import { ModelFiles } from './model-files.js';
import { DiscardButton } from './discard-button.js';
import { device, isBusy, leave, pause, resume, run, session, type RunView } from './state.js';

export function RunPanel() {
  const view = run.value!;
  return (
    <>
      <section class="card" aria-labelledby="run-title">
        <h2 id="run-title">{titleOf(view)}</h2>
        <Progress view={view} />
        <Figures view={view} />
        <LossChart />
        {view.problem && (
          <ProblemNote problem={view.problem}>
            {view.id !== '' && (
              <p>
                {view.savedStep > 0
                  ? `What was learned up to step ${view.savedStep} is saved in this browser.`
                  : 'No step had been saved yet: going on begins from the start.'}
              </p>
            )}
          </ProblemNote>
        )}
        {view.notices.map((notice, i) => (
          <p key={i} class="quiet notice">
            {withoutFlags(notice)}
          </p>
        ))}
        {view.model === null && view.status !== 'finished' && <ModelFiles saved={view.savedModel} purpose="go on" />}
        <Actions view={view} />
      </section>
      <SamplesPanel samples={view.samples} />
    </>
  );
}

function titleOf({ status, phase }: RunView): string {
  switch (status) {
    case 'running':
      return phase ? `${plainWordsFor(phase.name)} …` : 'Training';
    case 'stopping':
      return 'Stopping after this step …';
    case 'paused':
      return 'Paused';
    case 'failed':
      return 'Stopped';
    default:
      return 'Done';
  }
}

function Progress({ view }: { view: RunView }) {
  const done = view.steps.at(-1)?.step ?? 0;
  const share = view.phase?.share ?? null;
  // An unknown share shows as a bar that moves.
  const value = view.phase === null ? done / view.totalSteps : share;
  const label = view.phase === null ? `Step ${done} of ${view.totalSteps}` : plainWordsFor(view.phase.name);
  return (
    <div class="progress">
      <progress max={1} aria-label={label} {...(value !== null && { value })} />
      <p data-testid="progress">
        {label}
        {view.status !== 'finished' && view.savedStep > 0 && (
          <span class="quiet"> · step {view.savedStep} is saved</span>
        )}
        {share !== null && <span class="quiet"> · {Math.round(100 * share)} %</span>}
      </p>
    </div>
  );
}

function Figures({ view: { steps, evals, totalSteps, status, summary } }: { view: RunView }) {
  const last = steps.at(-1);
  if (last === undefined) return null;
  const recent = steps.slice(-20);
  const stepMs = recent.reduce((sum, step) => sum + step.stepMs, 0) / recent.length;
  const left = ((totalSteps - last.step) * stepMs) / 1000;
  const [first, latest] = [evals[0], evals.at(-1)];
  const accuracy = latest?.metrics?.['accuracy'];
  const figures: [string, string, string?][] = [
    ['Loss, its error: less is better', formatNumber(last.loss)],
    ...(latest && first
      ? [
          [
            'Loss on rows kept back',
            formatNumber(latest.loss),
            latest === first ? undefined : `from ${formatNumber(first.loss)}`,
          ] as [string, string, string?],
          // e to the power of the loss: among how many tokens the model is torn.
          [
            'Perplexity, words it hesitates between: 1 is best',
            formatNumber(Math.exp(latest.loss)),
            latest === first ? undefined : `from ${formatNumber(Math.exp(first.loss))}`,
          ] as [string, string, string?],
        ]
      : []),
    ...(accuracy === undefined
      ? []
      : [['Tokens guessed right', `${(100 * accuracy).toFixed(1)} %`] as [string, string]]),
    ['Speed', `${Math.round(last.tokensPerSecond).toLocaleString('en')} tokens/s`],
    status === 'finished' && summary
      ? ['Took', formatSeconds(summary.seconds)]
      : ['Left', status === 'running' ? formatSeconds(left) : '–'],
    ['GPU memory', formatBytes(last.peakBytes)],
  ];
  return (
    <dl class="figures">
      {figures.map(([label, value, more]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>
            {value} {more && <small class="quiet">{more}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

// The charts of the page answer to the pointer.
followPointer();

/** The trainer's own chart, as in its report: markup of numbers and fixed names alone. */
function LossChart() {
  const markup = useComputed(() => {
    const { steps, evals } = run.value ?? { steps: [], evals: [] };
    return steps.length + evals.length === 0 ? '' : renderLossChart({ steps, evals }).markup;
  });
  return <div class="curves" data-testid="loss-chart" dangerouslySetInnerHTML={{ __html: markup.value }} />;
}

function Actions({ view }: { view: RunView }) {
  const problem = useSignal<Problem | null>(null);
  const { status, id } = view;
  const hasWorker = !(device.value instanceof Problem) || device.value.name !== 'WorkerError';
  return (
    <>
      <div class="actions">
        {status === 'running' && (
          <button type="button" class="main" onClick={pause}>
            Pause
          </button>
        )}
        {(status === 'paused' || status === 'failed') && id !== '' && view.model !== null && hasWorker && (
          <button type="button" class="main" onClick={resume}>
            Go on
          </button>
        )}
        {status === 'finished' && (
          <button
            type="button"
            class="main"
            onClick={() => void save(id).catch((error: unknown) => (problem.value = problemOf(error)))}
          >
            Download adapter
          </button>
        )}
        {!isBusy.value && (
          <button type="button" onClick={leave}>
            {status === 'finished' ? 'New fine-tune' : 'Back'}
          </button>
        )}
        {status !== 'stopping' && id !== '' && hasWorker && (
          <DiscardButton id={id} label={status === 'finished' ? 'Delete' : 'Cancel'} />
        )}
      </div>
      {status === 'finished' && (
        <p class="quiet notice">
          The adapter is what was learned: a small addition to the model, for Hugging Face PEFT and for Lapidary.
        </p>
      )}
      {problem.value && <ProblemNote problem={problem.value} />}
    </>
  );
}

async function save(id: string): Promise<void> {
  const url = URL.createObjectURL(await session.download(id));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'adapter.zip';
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
