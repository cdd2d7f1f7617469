import { ticks } from 'd3-array';
import { formatNumber } from '../format/format.js';
import { html, type Html } from './html.js';
import { thin, type Point } from './thin.js';

export interface Series {
  readonly name: string;
  /** Names a colour of the stylesheet: `--a`, `--b` … */
  readonly colour: 'a' | 'b' | 'c' | 'd' | 'e' | 'f';
  readonly points: readonly Point[];
  /** A dot at each point, for few of them. */
  readonly dots?: boolean;
  /** Drawn behind, faintly. */
  readonly faint?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly series: readonly Series[];
  /** The axis begins at 0 instead of below the smallest value. */
  readonly fromZero?: boolean;
  /** Takes the whole width of the page where there is room. */
  readonly isWide?: boolean;
  /** The points stand over logarithms (base 10) of learning rates, not over steps. */
  readonly overRates?: boolean;
}

interface Size {
  readonly width: number;
  readonly height: number;
}
const narrow: Size = { width: 520, height: 250 };
const wide: Size = { width: 1070, height: 320 };
const margin = { left: 54, right: 14, top: 14, bottom: 30 };
/** More points than pixels cannot be seen. */
const mostPoints = 600;

/** A line chart over steps as inline SVG. The points stand in a data attribute too, for the tooltip of the page's script. */
export function renderChart({ title, series, fromZero = false, isWide = false, overRates = false }: Chart): Html {
  const shown = series.map((one) => ({
    ...one,
    points: thin(
      one.points.filter(([, y]) => Number.isFinite(y)),
      mostPoints,
    ),
  }));
  const all = shown.flatMap(({ points }) => points);
  if (all.length === 0)
    return html`<figure class="chart"><figcaption>${title}</figcaption><p class="quiet">Nothing was recorded.</p></figure>`;
  const x = widen(extent(all.map(([step]) => step)), 1);
  const [low, high] = extent(all.map(([, value]) => value));
  const y = pad(fromZero ? Math.min(0, low) : low, high, fromZero);
  const named = shown.filter(({ faint, points }) => !faint && points.length > 0);
  const data = JSON.stringify({
    x,
    ...(overRates && { overRates }),
    series: named.map(({ name, colour, points }) => ({
      name,
      colour,
      points: points.map(([step, value]) => [step, Number(value.toPrecision(5))]),
    })),
  });
  const label = overRates ? `${title} by learning rate` : `${title} by step`;
  const formatX = overRates ? (power: number) => `1e${power}` : String;
  const legend = named.map(
    ({ name, colour, points }) =>
      html`<span><i class="${colour}"></i>${name} <b>${formatNumber(points.at(-1)![1])}</b></span>`,
  );
  return html`<figure class="chart${isWide ? ' whole' : ''}" data-chart="${data}"><figcaption>${title}<span class="legend">${legend}</span></figcaption>
${drawLines(label, shown, x, y, { ...narrow, formatX })}${isWide && drawLines(label, shown, x, y, { ...wide, formatX })}<output hidden></output></figure>`;
}

type Range = readonly [low: number, high: number];

function drawLines(
  title: string,
  series: readonly Series[],
  [x0, x1]: Range,
  [y0, y1]: Range,
  { width, height, formatX }: Size & { readonly formatX: (x: number) => string },
): Html {
  const { left, top } = margin;
  const [right, bottom] = [width - margin.right, height - margin.bottom];
  const toX = (x: number) => round(left + ((x - x0) / (x1 - x0)) * (right - left));
  const toY = (y: number) => round(bottom - ((y - y0) / (y1 - y0)) * (bottom - top));
  const yTicks = ticks(y0, y1, 5);
  const grid = yTicks.map(
    (y) =>
      html`<line class="grid" x1="${left}" x2="${right}" y1="${toY(y)}" y2="${toY(y)}"/><text class="tick" x="${left - 8}" y="${toY(y) + 4}" text-anchor="end">${formatTick(y, yTicks)}</text>`,
  );
  const steps = ticks(x0, x1, width / 110)
    .filter(Number.isInteger)
    .map((x) => html`<text class="tick" x="${toX(x)}" y="${height - 8}" text-anchor="middle">${formatX(x)}</text>`);
  const lines = series
    .filter(({ points }) => points.length > 0)
    .map(
      ({
        colour,
        points,
        dots,
        faint,
      }) => html`<path class="line ${colour}${faint ? ' faint' : ''}" d="M${points.map(([x, y]) => `${toX(x)},${toY(y)}`).join('L')}"/>
${(dots || points.length === 1) && points.map(([x, y]) => html`<circle class="dot ${colour}" cx="${toX(x)}" cy="${toY(y)}" r="3"/>`)}`,
    );
  return html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">${grid}${steps}${lines}<line class="cursor" data-span="${left} ${right}" y1="${top}" y2="${bottom}" visibility="hidden"/></svg>`;
}

function extent(values: readonly number[]): [number, number] {
  return values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}

function widen([low, high]: Range, by: number): Range {
  return low === high ? [low - by, high + by] : [low, high];
}

/** A little room above and below, so that lines do not lie on the frame. */
function pad(low: number, high: number, fromZero: boolean): Range {
  const [a, b] = widen([low, high], Math.abs(high) || 1);
  const room = (b - a) * 0.06;
  return [fromZero && low >= 0 ? 0 : a - room, b + room];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** All ticks of an axis with the digits that tell them apart. */
function formatTick(value: number, all: readonly number[]): string {
  const largest = Math.max(...all.map(Math.abs));
  if (value === 0) return '0';
  if (largest < 1e-2 || largest >= 1e5) return value.toExponential(1).replace('.0e', 'e');
  const step = all.length > 1 ? Math.abs(all[1]! - all[0]!) : largest;
  return value.toFixed(Math.max(0, Math.min(5, Math.ceil(-Math.log10(step) - 1e-9))));
}
