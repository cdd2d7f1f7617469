import { formatAdapter, formatNumber } from '../format/format.js';
import type { RateSearch } from '../metrics/rate-search.js';
import { renderChart } from './chart.js';
import { chartScript } from './follow-pointer.js';
import { html, Html } from './html.js';
import { style } from './style.js';
import type { Point } from './thin.js';

/** What is told of a search for a learning rate, as names and values. */
export function rateSearchFacts({ model, adapter, optimizer, diverged, points, suggested }: RateSearch): string[][] {
  const lowest = points.reduce((a, b) => (b.smoothed < a.smoothed ? b : a));
  return [
    ['Suggested', suggested === null ? 'nothing: the loss never clearly fell' : suggested.toExponential(2)],
    ['Lowest loss at', `${lowest.rate.toExponential(2)} (${formatNumber(lowest.smoothed)}, smoothed)`],
    [
      'Tried',
      `${points.length} rates, ${points[0]!.rate.toExponential(1)} to ${points.at(-1)!.rate.toExponential(1)}; ${diverged ? 'the loss went away' : 'to the end'}`,
    ],
    ['Optimizer', optimizer],
    ['Model', model],
    ['Device', formatAdapter(adapter)],
  ];
}

/** A page of its own: the loss over the rate, with the suggested rate on it. */
export function renderRateSearch(found: RateSearch): string {
  const { points, suggested } = found;
  const over = (value: 'loss' | 'smoothed') => points.map((point): Point => [Math.log10(point.rate), point[value]]);
  const at = points.filter(({ rate }) => rate === suggested);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Learning rate – ${found.model}</title><style>${new Html(style)}</style></head>
<body><main>
<header><h1>Learning rate</h1><p class="facts">${found.model}</p></header>
<div class="charts">${renderChart({
    title: 'Loss while the rate grows',
    isWide: true,
    overRates: true,
    series: [
      { name: 'of each step', colour: 'a', faint: true, points: over('loss') },
      { name: 'smoothed', colour: 'a', points: over('smoothed') },
      {
        name: 'suggested',
        colour: 'b',
        dots: true,
        points: at.map(({ rate, smoothed }): Point => [Math.log10(rate), smoothed]),
      },
    ],
  })}</div>
<h2>Result</h2>
<section class="card"><table><tbody>${rateSearchFacts(found).map(([key, value]) => html`<tr><th>${key}</th><td>${value}</td></tr>`)}</tbody></table></section>
<footer>Made by Lapidary. The suggestion is where the smoothed loss falls most steeply; nothing of what was trained is kept.</footer>
</main><script>${new Html(chartScript)}</script></body></html>
`;
  return page.markup;
}
