import { diffConfigs } from '../config/config-echo.js';
import { formatBytes, formatNumber, formatSeconds } from '../format/format.js';
import type { EvalRecord, StepRecord } from '../metrics/run-records.js';
import { renderChart, type Series } from './chart.js';
import { chartScript } from './follow-pointer.js';
import { html, Html } from './html.js';
import type { RecordedRun } from './read-run.js';
import { style } from './style.js';
import { smoothed, type Point } from './thin.js';

/** What is told of several runs side by side. Plain data. */
export interface RunComparison {
  /** Of each run; folders tell apart what is named alike. */
  readonly names: readonly string[];
  /** Numbers of the runs as texts, a row each; `–` where one is not known. */
  readonly summary: readonly (readonly [label: string, ...values: string[]])[];
  /** Settings in which the runs differ, as they were resolved. */
  readonly settings: readonly (readonly [path: string, ...values: string[]])[];
  /** The last answers of each run to rows that more than one of them answered; null where a run has none. */
  readonly answers: readonly {
    readonly prompt: string;
    readonly expected: string | null;
    readonly answers: readonly (string | null)[];
  }[];
}

const colours = ['a', 'b', 'c', 'd', 'e', 'f'] as const;

/** Puts runs side by side. */
export function compareRuns(runs: readonly RecordedRun[]): RunComparison {
  return { names: namesOf(runs), summary: summaryRows(runs), settings: settingRows(runs), answers: answersOf(runs) };
}

/** A page of its own with runs side by side: curves over each other, settings that differ, numbers, answers. */
export function renderComparison(runs: readonly RecordedRun[]): string {
  const { names, summary, settings, answers } = compareRuns(runs);
  const chart = (
    title: string,
    pointsOf: (run: RecordedRun) => readonly Point[],
    more: { isWide?: boolean; fromZero?: boolean; dots?: boolean } = {},
  ) => {
    const series = runs.map((run, i): Series => {
      const points = pointsOf(run);
      return { name: names[i]!, colour: colours[i % colours.length]!, points, ...(more.dots && { dots: true }) };
    });
    return series.some(({ points }) => points.length > 0) && renderChart({ title, series, ...more });
  };
  const steps = (value: (step: StepRecord) => number) => (run: RecordedRun) =>
    run.steps.map((step): Point => [step.step, value(step)]);
  const evaluations = (value: (record: EvalRecord) => number | undefined) => (run: RecordedRun) =>
    run.evals.flatMap((record): Point[] => {
      const found = value(record);
      return found === undefined ? [] : [[record.step, found]];
    });
  const metrics = new Set(runs.flatMap(({ evals }) => evals.flatMap(({ metrics: of = {} }) => Object.keys(of))));
  const header = html`<thead><tr><th></th>${names.map((name, i) => html`<th><i class="key ${colours[i % colours.length]!}"></i>${name}</th>`)}</tr></thead>`;
  const table = (rows: RunComparison['summary']) =>
    html`<section class="card wide"><table>${header}<tbody>${rows.map(([label, ...values]) => html`<tr><th>${label}</th>${values.map((value) => html`<td>${value}</td>`)}</tr>`)}</tbody></table></section>`;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${names.join(', ')} – runs side by side</title><style>${new Html(style)}</style></head>
<body><main>
<header><h1>${names.join(' · ')}</h1><p class="facts">${runs.length} runs side by side</p></header>
${table(summary)}
<h2>Training</h2>
<div class="charts">${chart('Loss', (run) => smoothed(steps(({ loss }) => loss)(run)), { isWide: true })}
${chart(
  'Evaluation loss',
  evaluations(({ loss }) => loss),
  { dots: true },
)}
${chart(
  'Learning rate',
  steps(({ learningRate }) => learningRate),
  { fromZero: true },
)}
${[...metrics].map((name) =>
  chart(
    `${name}, evaluation`,
    evaluations(({ metrics: of }) => of?.[name]),
    { dots: true },
  ),
)}</div>
<h2>Settings that differ</h2>
${settings.length > 0 ? table(settings) : html`<section class="card"><p class="quiet">None.</p></section>`}
${
  answers.length > 0 &&
  html`<h2>Answers</h2><div class="samples">${answers.map(
    ({ prompt, expected, answers: given }) =>
      html`<article class="sample"><p class="text">${prompt}</p><div class="pair">${given.map((answer, i) => html`<div><h4 class="${colours[i % colours.length]!}">${names[i]!}</h4><div class="text">${answer === null ? html`<span class="quiet">not asked</span>` : answer.trim() || html`<span class="quiet">(nothing)</span>`}</div></div>`)}${expected !== null && html`<div><h4>In the data</h4><div class="text quiet">${expected}</div></div>`}</div></article>`,
  )}</div>`
}
<footer>Made by Lapidary from the files in ${runs.map(({ location }) => location).join(', ')}.</footer>
</main><script>${new Html(chartScript)}</script></body></html>
`;
  return page.markup;
}

/** Names of runs, with their folders where names are the same. */
function namesOf(runs: readonly RecordedRun[]): string[] {
  const given = runs.map(({ config, summary }) => summary?.name ?? String(config['name'] ?? 'run'));
  return given.map((name, i) =>
    given.filter((other) => other === name).length > 1 ? `${name} (${runs[i]!.location})` : name,
  );
}

function summaryRows(runs: readonly RecordedRun[]): RunComparison['summary'] {
  const row = (label: string, read: (run: RecordedRun) => string | number | null | undefined) => {
    const values = runs.map((run) => {
      const value = read(run);
      return typeof value === 'number' ? formatNumber(value) : (value ?? '–');
    });
    return [label, ...values] as const;
  };
  const last = ({ evals }: RecordedRun) => evals.at(-1)?.loss;
  const lowest = ({ evals }: RecordedRun) =>
    evals.length === 0 ? null : evals.reduce((a, b) => (b.loss < a.loss ? b : a));
  const perplexity = (run: RecordedRun) => {
    const loss = last(run);
    return run.start?.lossIsCrossEntropy && loss !== undefined ? Math.exp(loss) : null;
  };
  const rows = [
    row('Eval loss at the end', last),
    row('Eval loss before', ({ evals }) => (evals[0]?.step === 0 ? evals[0].loss : null)),
    row('Lowest eval loss', (run) => {
      const found = lowest(run);
      return found && `${formatNumber(found.loss)} after step ${found.step}`;
    }),
    row('Perplexity', perplexity),
    row('Loss of the last step', ({ steps }) => steps.at(-1)?.loss),
    row('Steps', ({ steps, start }) => {
      const done = steps.at(-1)?.step ?? 0;
      return start && start.totalSteps !== done ? `${done} of ${start.totalSteps}` : String(done);
    }),
    row('Time', ({ summary }) => summary && formatSeconds(summary.seconds)),
    row('GPU memory', ({ summary }) => summary && formatBytes(summary.peakBytesAllocated)),
    row('Trained parameters', ({ start }) => start?.load?.trainableParameters.toLocaleString('en')),
    row('Rows', ({ start }) => start && `${start.trainRows} and ${start.evalRows} held out`),
  ];
  return rows.filter(([, ...values]) => values.some((value) => value !== '–'));
}

/** What says where a run is, not what it is. */
const ofPlace = /^(name|outDir|resume|resumeFrom|overwrite)$/;

function settingRows(runs: readonly RecordedRun[]): RunComparison['settings'] {
  const [first, ...others] = runs;
  if (first === undefined) return [];
  const changes = others.map(({ config }) => diffConfigs(first.config, config));
  const paths = [...new Set(changes.flatMap((each) => each.map(({ path }) => path)))].sort();
  const text = (value: unknown) =>
    value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value);
  return paths
    .filter((path) => !ofPlace.test(path))
    .map((path) => {
      const found = changes.map((each) => each.find((change) => change.path === path));
      const saved = found.find((change) => change !== undefined)?.saved;
      return [path, text(saved), ...found.map((change) => text(change ? change.now : saved))] as const;
    });
}

function answersOf(runs: readonly RecordedRun[]): RunComparison['answers'] {
  // The same prompt is the same row, wherever it stands.
  const rows = new Map<string, { expected: string | null; answers: (string | null)[] }>();
  runs.forEach(({ samples }, i) => {
    for (const { prompt, expected, answer } of samples) {
      const row = rows.get(prompt) ?? { expected, answers: runs.map(() => null) };
      row.answers[i] = answer;
      rows.set(prompt, row);
    }
  });
  return [...rows]
    .filter(([, { answers }]) => answers.filter((answer) => answer !== null).length > 1)
    .map(([prompt, row]) => ({ prompt, ...row }));
}
