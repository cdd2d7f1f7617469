import { sumByKernel } from '@lapidary/tensor';
import type { TrainingProfile } from '../metrics/training-profile.js';
import { html, Html } from './html.js';
import { formatPercent, profileTable, type ProfileTable } from './profile-table.js';
import { style } from './style.js';
import { renderTimeline } from './timeline.js';

/** The costliest shapes that are listed. */
const mostShapes = 40;

/**
 * A profile as one HTML page of its own: a step's dispatches over time, and its kernels by time. No request to anywhere, readable from
 * a file, in light and dark.
 */
export function renderProfile(profile: TrainingProfile): string {
  const { model, dispatches, ceiling, stepMs, nanoseconds, ofCeiling, clock, kernels } = profile;
  const table = profileTable(profile);
  const byTypes = sumByKernel(dispatches, { ceiling, byTypes: true });
  const shapes = profileTable(profile, byTypes);
  const title = `Profile of ${model || 'a step'}`;
  const cards: [label: string, value: string, more: string][] = [
    ['Step', `${stepMs.toFixed(1)} ms`, 'as training runs it'],
    [
      clock === 'gpu' ? 'GPU time' : 'Kernels',
      `${(nanoseconds / 1e6).toFixed(1)} ms`,
      `${dispatches.length} dispatches`,
    ],
    ['Of ceiling', ofCeiling === null ? '–' : formatPercent(ofCeiling), 'all kernels together'],
  ];
  const first = kernels[0];
  if (first) cards.push(['Costliest', formatPercent(first.share), `${first.op}, ${first.variant}`]);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Html(style + profileStyle)}</style></head>
<body><main>
<header><h1>${title}</h1><p class="facts">${table.facts
    .slice(0, 2)
    .map(([, value]) => value)
    .join(' · ')}</p></header>
<dl class="cards">${cards.map(([label, value, more]) => html`<div class="card"><dt>${label}</dt><dd>${value}<small>${more}</small></dd></div>`)}</dl>
<h2>One step, milliseconds</h2>
${renderTimeline(dispatches)}
<h2>Kernels</h2>
${renderKernels(table)}
<h2>Shapes</h2>
${renderKernels(
  { ...shapes, rows: shapes.rows.slice(0, mostShapes) },
  byTypes.map(({ types }) => types ?? ''),
)}
<h2>How it was measured</h2>
<section class="card"><table><tbody>${table.facts.map(([name, value]) => html`<tr><th>${name}</th><td>${value}</td></tr>`)}</tbody></table></section>
<ul class="card notes">${notes.map((note) => html`<li>${note}</li>`)}</ul>
<footer>Made by lapidary profile.</footer>
</main><script>${new Html(script)}</script></body></html>
`;
  return page.markup;
}

const notes = [
  'Every kernel ran in a pass of its own; a bar is the median of its times, and bars lie end to end, without the gaps between passes.',
  'GFLOP/s count the multiplications and additions of matrix products as the kernel makes them; attention with all pairs that its window allows, those too that a causal mask or padding lets it skip. GB/s count what is read and written, each byte once.',
  'Of ceiling: the time that the adapter would take at its measured arithmetic speed (multiply-adds in registers) or memory speed (a copy of at least as many bytes), whichever is longer, over the time it took. Above 100% a kernel beats that copy.',
];

/** `types`: the tensors of each row, in place of its kernel, which the op tells well enough. */
function renderKernels({ header, rows, total, numbersFrom }: ProfileTable, types?: readonly string[]): Html {
  const classOf = (column: number) => (column >= numbersFrom ? 'number' : types && column === 1 ? 'types' : '');
  const shown = (row: readonly string[], tensors: string) =>
    row.map((cell, column) => (types && column === 1 ? tensors : cell));
  const cells = (row: readonly string[]) => row.map((cell, i) => html`<td class="${classOf(i)}">${cell}</td>`);
  return html`<section class="card wide"><table class="kernels"><thead><tr>${shown(header, 'tensors').map((name, i) => html`<th class="${classOf(i)}">${name}</th>`)}</tr></thead>
<tbody>${rows.map((row, i) => html`<tr>${cells(shown(row, types?.[i] ?? ''))}</tr>`)}</tbody><tfoot><tr>${cells(shown(total, ''))}</tr></tfoot></table></section>`;
}

const profileStyle = `
:root { --e: #b3861b; --f: #c23b84; --g: #7d8594; }
@media (prefers-color-scheme: dark) { :root { --e: #e3b94f; --f: #ff86c3; --g: #8b93a2; } }
.e { color: var(--e); } .f { color: var(--f); } .g { color: var(--g); }
.timeline { margin: 0; position: relative; }
.timeline .legend { margin-bottom: 10px; } .timeline .legend i { height: 10px; vertical-align: 0; }
.lane { display: grid; grid-template-columns: 64px minmax(0, 1fr); align-items: center; margin: 3px 0; }
.lane span { color: var(--quiet); font-size: 12px; text-align: right; padding-right: 10px; font-variant-numeric: tabular-nums; }
.lane svg { height: 22px; margin: 0; background: var(--grid); border-radius: 3px; }
.lane rect { fill: currentColor; } .lane rect.odd { opacity: .68; } .lane rect.here { fill: var(--ink); opacity: 1; }
.timeline output { white-space: normal; max-width: min(460px, 90%); overflow-wrap: anywhere; z-index: 1; }
.timeline output b { display: block; }
.wide { overflow-x: auto; }
.kernels td, .kernels th { padding-right: 16px; white-space: nowrap; } .kernels .number { padding-right: 0; padding-left: 16px; }
.kernels .types { white-space: normal; min-width: 220px; font-size: 13px; }
tfoot td { white-space: nowrap; }
section + .notes { margin-top: 14px; }
@media (max-width: 720px) { .lane { grid-template-columns: 48px minmax(0, 1fr); } .lane span { font-size: 11px; padding-right: 6px; } }
`;

/** What is under the pointer. The page is complete without it. */
const script = `
for (const figure of document.querySelectorAll('[data-dispatches]')) {
  const { texts, rows } = JSON.parse(figure.dataset.dispatches), out = figure.querySelector('output');
  const bars = [...figure.querySelectorAll('rect')];
  let shown = -1;
  const hide = () => { shown = -1; out.hidden = true; for (const bar of bars) bar.classList.remove('here'); };
  const rate = (amount, ns) => ns > 0 ? (amount / ns).toPrecision(3) : '–';
  const move = (event) => {
    const bar = event.target.closest('rect');
    if (!bar) return hide();
    const i = Number(bar.dataset.i), [name, types, ns, flops, bytes] = rows[i];
    if (i !== shown) {
      hide();
      shown = i;
      for (const other of bars) if (other.dataset.i === bar.dataset.i) other.classList.add('here');
      const lines = [(ns / 1e6).toFixed(3) + ' ms', ...(flops ? [rate(flops, ns) + ' GFLOP/s'] : []), rate(bytes, ns) + ' GB/s'];
      const title = document.createElement('b'), tensors = document.createElement('div'), numbers = document.createElement('div');
      title.textContent = texts[name]; tensors.textContent = texts[types]; numbers.textContent = lines.join(' · ');
      out.replaceChildren(title, tensors, numbers);
      out.hidden = false;
    }
    const box = figure.getBoundingClientRect();
    out.style.left = Math.max(4, Math.min(event.clientX - box.left + 12, figure.clientWidth - out.offsetWidth - 4)) + 'px';
    out.style.top = event.clientY - box.top + 20 + 'px';
  };
  figure.addEventListener('pointermove', move); figure.addEventListener('pointerdown', move); figure.addEventListener('pointerleave', hide);
}
`;
