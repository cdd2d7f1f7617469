import type { DispatchTime } from '@lapidary/tensor';
import { formatPercent } from './profile-table.js';
import { html, type Html } from './html.js';

/** Folders of shaders that share a colour of the stylesheet. */
const families: readonly { readonly name: string; readonly colour: string; readonly folders: readonly string[] }[] = [
  { name: 'matmul', colour: 'a', folders: ['matmul'] },
  { name: 'attention', colour: 'b', folders: ['attention'] },
  { name: 'norm', colour: 'c', folders: ['norm'] },
  { name: 'elementwise', colour: 'd', folders: ['elementwise', 'activation', 'rope'] },
  { name: 'loss', colour: 'e', folders: ['loss'] },
  { name: 'optimizer', colour: 'f', folders: ['optimizer'] },
];
const rest = { name: 'other', colour: 'g', folders: [] };

/** The kernel family of a dispatch: the folder of its shader, as one of few. */
export function familyOf({ kernel }: Pick<DispatchTime, 'kernel'>): { readonly name: string; readonly colour: string } {
  const folder = kernel.split('/')[0]!;
  return families.find(({ folders }) => folders.includes(folder)) ?? rest;
}

/** Few enough dispatches in a line to tell them apart, and few enough lines to see the whole. */
const perLine = 64;
const lines = { least: 4, most: 24 };

/**
 * Dispatches over time, one bar each, in lines that are read like text; the page's script tells what is under the pointer. Bars lie
 * end to end: the gaps that timing makes between kernels are left out.
 */
export function renderTimeline(dispatches: readonly DispatchTime[]): Html {
  const total = dispatches.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0);
  if (!(total > 0))
    return html`<section class="card"><p class="quiet">No kernel took time that the clock could measure.</p></section>`;
  const count = Math.max(lines.least, Math.min(lines.most, Math.ceil(dispatches.length / perLine)));
  const line = total / count;
  const drawn: Html[][] = Array.from({ length: count }, () => []);
  let at = 0;
  dispatches.forEach((dispatch, i) => {
    const end = at + dispatch.nanoseconds;
    // A bar that crosses the end of a line goes on in the next.
    for (let n = Math.floor(at / line); n < count && n * line < end; n++) {
      const from = Math.max(at, n * line) - n * line;
      const to = Math.min(end, (n + 1) * line) - n * line;
      const percent = (value: number) => `${round((100 * value) / line)}%`;
      drawn[n]!.push(
        html`<rect class="${familyOf(dispatch).colour}${i % 2 ? ' odd' : ''}" x="${percent(from)}" width="${percent(to - from)}" height="100%" data-i="${i}"/>`,
      );
    }
    at = end;
  });
  return html`<figure class="card timeline" data-dispatches="${JSON.stringify(hoverData(dispatches))}">${renderLegend(dispatches, total)}
${drawn.map((bars, n) => html`<div class="lane"><span>${formatMs(n * line)}</span><svg role="img" aria-label="from ${formatMs(n * line)} to ${formatMs((n + 1) * line)} ms">${bars}</svg></div>`)}
<output hidden></output></figure>`;
}

function renderLegend(dispatches: readonly DispatchTime[], total: number): Html {
  const shares = [...families, rest].map(({ name, colour }) => ({
    name,
    colour,
    share: dispatches.reduce((sum, d) => sum + (familyOf(d).colour === colour ? d.nanoseconds : 0), 0) / total,
  }));
  const used = shares.filter(({ colour }) => dispatches.some((d) => familyOf(d).colour === colour));
  return html`<figcaption class="legend">${used.map(({ name, colour, share }) => html`<span><i class="${colour}"></i>${name} <b>${formatPercent(share)}</b></span>`)}</figcaption>`;
}

/** What the script shows of a dispatch: its name, its tensors, nanoseconds, flops and bytes. Texts stand there once. */
function hoverData(dispatches: readonly DispatchTime[]) {
  const texts: string[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (text: string) => {
    let number = numbers.get(text);
    if (number === undefined) numbers.set(text, (number = texts.push(text) - 1));
    return number;
  };
  const rows = dispatches.map(({ op, kernel, variant, types, nanoseconds, flops, bytes }) => [
    numberOf(`${op} · ${kernel} (${variant})`),
    numberOf(types),
    Math.round(nanoseconds),
    flops,
    Math.round(bytes),
  ]);
  return { texts, rows };
}

function formatMs(nanoseconds: number): string {
  return (nanoseconds / 1e6).toFixed(2);
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
