import { boxesToSvg, parseBoxes } from '@lapidary/gemma';
import { settingsOf } from '../config/config-echo.js';
import { formatBytes, formatNumber, formatSeconds } from '../format/format.js';
import type { RunRecording } from '../metrics/record-run.js';
import type { EvalRecord, SampleRecord, StepRecord } from '../metrics/run-records.js';
import { renderChart } from './chart.js';
import { html, Html, type Html as Markup } from './html.js';
import { renderLossChart } from './loss-chart.js';
import { chartScript } from './follow-pointer.js';
import { style } from './style.js';
import { smoothed, type Point } from './thin.js';

/** Everything the report shows; a recording of the run as it is. Missing parts are left out. */
export type ReportData = Pick<RunRecording, 'start' | 'steps' | 'evals' | 'samples' | 'notices' | 'summary'>;

/** One HTML page of its own: no request to anywhere, readable from a file, in light and dark, on a phone and on paper. */
export function renderReport(data: ReportData): string {
  const { start, summary, notices } = data;
  const name = summary?.name ?? String(start?.config['name'] ?? 'Run');
  const subtitle = [
    start?.load?.source,
    start && `${start.trainRows} rows`,
    deviceName(data),
    (summary ?? start)?.startedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC'),
  ].filter(Boolean);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${name} – fine-tuning report</title><style>${new Html(style)}</style></head>
<body><main>
<header><h1>${name}</h1><p class="facts">${subtitle.join(' · ')}</p></header>
${renderCards(data)}
<h2>Training</h2>
<div class="charts">${renderCharts(data)}</div>
${renderSamples(data)}
<h2>Run</h2>
<div class="columns">
<div class="columns" style="grid-template-columns:minmax(0,1fr)">${renderMemory(data)}${renderLoad(data)}${renderMachine(data)}</div>
${start && html`<section class="card"><h3>Configuration</h3>${renderTable(settingsOf(start.config))}</section>`}
</div>
${notices.length > 0 && html`<h2>Notes</h2><ul class="card notes">${notices.map((notice) => html`<li>${notice}</li>`)}</ul>`}
<footer>Made by Lapidary. The numbers are in metrics.jsonl and summary.json beside this file.</footer>
</main><script>${new Html(chartScript)}</script></body></html>
`;
  return page.markup;
}

function renderCards({ summary, steps, start }: ReportData): Markup {
  const last = steps.at(-1);
  const cards: { label: string; value: string; more?: string | undefined; tone?: 'good' | 'bad' }[] = [];
  const [before, after] = [summary?.baseEvalLoss ?? null, summary?.finalEvalLoss ?? null];
  if (before !== null && after !== null) {
    const change = 100 * (after / before - 1);
    const label = `${change < 0 ? '−' : '+'}${Math.abs(change).toFixed(1)}%`;
    cards.push({
      label: 'Eval loss',
      value: formatNumber(after),
      more: `${label} from ${formatNumber(before)}`,
      tone: change < 0 ? 'good' : 'bad',
    });
  } else if (last) cards.push({ label: 'Loss', value: formatNumber(last.loss) });
  const [perplexity, perplexityBefore] = [after, before].map((loss) => (loss === null ? null : Math.exp(loss)));
  if (start?.lossIsCrossEntropy && perplexity != null)
    cards.push({
      label: 'Perplexity',
      value: formatNumber(perplexity),
      more: perplexityBefore == null ? undefined : `from ${formatNumber(perplexityBefore)}`,
    });
  if (summary?.best && summary.best.step !== summary.steps)
    cards.push({
      label: 'Lowest eval loss',
      value: formatNumber(summary.best.loss),
      more: `after step ${summary.best.step}; exported is step ${summary.exportedStep}`,
    });
  if (last)
    cards.push({
      label: 'Steps',
      value: String(last.step),
      more: start ? `of ${start.totalSteps}, ${last.epoch.toFixed(1)} epochs` : undefined,
    });
  if (summary) {
    const first = summary.secondsToFirstStep;
    cards.push({
      label: 'Time',
      value: formatSeconds(summary.seconds),
      more: first === null ? undefined : `${formatSeconds(first)} to the first step`,
    });
  }
  if (steps.length > 0) {
    const speeds = steps.map(({ tokensPerSecond }) => tokensPerSecond).sort((a, b) => a - b);
    cards.push({
      label: 'Speed',
      value: `${Math.round(speeds[Math.floor(speeds.length / 2)]!)}`,
      more: 'tokens a second (median)',
    });
  }
  if (summary)
    cards.push({
      label: 'GPU memory',
      value: formatBytes(summary.peakBytesAllocated),
      more: `${formatBytes(summary.peakBytesPlanned)} planned`,
    });
  return html`<dl class="cards">${cards.map(({ label, value, more, tone }) => html`<div class="card"><dt>${label}</dt><dd>${value}${more && html`<small class="${tone ?? ''}">${more}</small>`}</dd></div>`)}</dl>`;
}

function renderCharts(data: ReportData): Markup[] {
  const { steps } = data;
  return [
    renderLossChart(data),
    renderChart({
      title: 'Learning rate',
      fromZero: true,
      series: [{ name: 'last', colour: 'c', points: steps.map((record) => [record.step, record.learningRate]) }],
    }),
    renderChart({
      title: 'Gradient norm',
      fromZero: true,
      series: [{ name: 'last', colour: 'd', points: steps.map((record) => [record.step, record.gradNorm]) }],
    }),
    ...renderMetrics(data),
  ];
}

/** What the objective measures beside the loss, a chart each. */
function renderMetrics({ steps, evals }: ReportData): Markup[] {
  const pointsOf = (records: readonly (StepRecord | EvalRecord)[], name: string) =>
    records.flatMap(({ step, metrics }): Point[] => {
      const value = metrics?.[name];
      return value === undefined ? [] : [[step, value]];
    });
  const names = new Set([...evals, ...steps].flatMap(({ metrics = {} }) => Object.keys(metrics)));
  return [...names].map((name) => {
    const training = smoothed(pointsOf(steps, name));
    return renderChart({
      title: name,
      series: [
        { name: 'training', colour: 'a', points: training },
        { name: 'evaluation', colour: 'b', dots: true, points: pointsOf(evals, name) },
      ],
    });
  });
}

function renderSamples({ samples, start }: ReportData): Markup | null {
  if (samples.length === 0) return null;
  const byRow = new Map<string, SampleRecord[]>();
  for (const sample of samples) byRow.set(sample.id, [...(byRow.get(sample.id) ?? []), sample]);
  const cards = [...byRow.values()].map((ofRow) => {
    const [first, last] = [ofRow[0]!, ofRow.at(-1)!];
    const shown = ofRow.length > 1 ? [first, last] : [first];
    const seen = first.pictures ?? [];
    return html`<article class="sample"><p class="text">${first.prompt}</p><div class="pair">
${shown.map((sample) => html`<div class="${sample === last && sample.step > 0 ? 'after' : ''}"><h4>${sample.step === 0 ? 'Before' : `After step ${sample.step}`}</h4><div class="text">${sample.answer.trim() || html`<span class="quiet">(nothing)</span>`}</div>${seen.map((url) => renderPicture(url, sample.answer))}</div>`)}
${first.expected !== null && html`<div><h4>In the data</h4><div class="text quiet">${first.expected}</div>${seen.map((url) => renderPicture(url, first.expected ?? ''))}</div>`}</div></article>`;
  });
  // Where none are held out, rows that were learned from are answered.
  const rows = start?.evalRows === 0 ? 'rows that were learned from' : 'held-out rows';
  return html`<h2>Answers to ${rows}</h2><div class="samples">${cards}</div>`;
}

function renderMemory({ start, summary }: ReportData): Markup | null {
  if (!start || start.memory.length === 0) return null;
  const total = start.memory.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = Math.max(1, ...start.memory.map(({ bytes }) => bytes));
  const rows = start.memory.map(
    ({ category, bytes }) =>
      html`<tr><th>${category}</th><td class="number">${formatBytes(bytes)}</td><td class="share"><i style="width:${((100 * bytes) / largest).toFixed(1)}%"></i></td></tr>`,
  );
  const allocated =
    summary &&
    html`<tr><th>Allocated</th><td class="number">${formatBytes(summary.peakBytesAllocated)}</td><td></td></tr>`;
  return html`<section class="card"><h3>Memory plan</h3><table><tbody>${rows}</tbody><tfoot><tr><th>Planned</th><td class="number">${formatBytes(total)}</td><td></td></tr>${allocated}</tfoot></table></section>`;
}

function renderLoad({ start }: ReportData): Markup | null {
  const load = start?.load;
  if (!load) return null;
  const names = (list: readonly string[]) =>
    list.length === 0 ? 'none' : `${list.length}: ${list.slice(0, 5).join(', ')}${list.length > 5 ? ', …' : ''}`;
  const share = load.parameters > 0 ? ` (${((100 * load.trainableParameters) / load.parameters).toPrecision(2)}%)` : '';
  return html`<section class="card"><h3>Weights</h3>${renderTable([
    ['Source', load.source],
    ['Format', load.format],
    ['Parameters', load.parameters.toLocaleString('en')],
    ['Trained', load.trainableParameters.toLocaleString('en') + share],
    ['Tensors loaded', `${load.loaded}, ${load.converted} of them converted`],
    ['Made anew', names(load.initialised)],
    ['Not used', names(load.unused)],
  ])}</section>`;
}

function renderMachine(data: ReportData): Markup | null {
  const adapter = data.summary?.adapter ?? data.start?.adapter;
  if (!adapter) return null;
  const rows: [string, string | undefined][] = [
    ['Device', deviceName(data)],
    ['Vendor', adapter.vendor],
    ['Architecture', adapter.architecture],
    ['Backend', adapter.backend],
    ...Object.entries(data.start?.machine ?? {}),
  ];
  return html`<section class="card"><h3>Machine</h3>${renderTable(rows.flatMap(([key, value]): [string, string][] => (value ? [[key, value]] : [])))}</section>`;
}

function deviceName({ summary, start }: ReportData): string | undefined {
  const adapter = summary?.adapter ?? start?.adapter;
  return adapter && (adapter.device || adapter.description || adapter.vendor);
}

function renderTable(rows: readonly (readonly [string, string])[]): Markup {
  return html`<table><tbody>${rows.map(([key, value]) => html`<tr><th>${key}</th><td>${value}</td></tr>`)}</tbody></table>`;
}

/** Coordinates of the drawing over a picture, which is stretched over it. */
const boxScale = 1000;

/** A picture, and over it the boxes that an answer names. */
function renderPicture(url: string, answer: string): Markup {
  const { boxes } = parseBoxes(answer);
  const drawing = boxesToSvg(boxes, { width: boxScale, height: boxScale, thickness: boxScale / 100 });
  return html`<div class="picture"><img src="${url}" alt="The row's picture">${boxes.length > 0 && new Html(drawing.replace('<svg ', '<svg preserveAspectRatio="none" '))}</div>`;
}
