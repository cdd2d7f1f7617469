import { caseName } from '../cases/case.js';
import type { CaseResult } from '../run/measure-case.js';
import { targetOf } from '../run/verdict.js';

const colours: Readonly<Record<string, string>> = { 'jax-js': '#1f77b4', tfjs: '#ff7f0e', pytorch: '#7f7f7f' };
const BAR = 12;
const GAP = 10;
const LEFT = 520;
const WIDTH = 470;
const TOP = 76;

const escapeXml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

interface Bar {
  readonly contender: string;
  readonly ratio: number;
}

interface Group {
  readonly name: string;
  readonly target: number | undefined;
  readonly bars: readonly Bar[];
}

/** How many times longer the others take than we do, a bar each, on a logarithmic axis; a tick where the target is. */
export function plotRatios(results: readonly CaseResult[], adapter: string): string {
  const groups: Group[] = results
    .filter((result) => result.case.memoryRuns === undefined)
    .map((result) => ({
      name: caseName(result.case),
      target: targetOf(result, adapter),
      bars: result.measured
        .slice(1)
        .flatMap(({ contender, ratio }) => (ratio === undefined ? [] : [{ contender, ratio }])),
    }))
    .filter(({ bars }) => bars.length > 0);
  const all = groups.flatMap(({ bars, target = 1 }) => [...bars.map((b) => b.ratio), target]);
  const [low, high] = [Math.min(0.5, ...all) / 1.2, Math.max(4, ...all) * 1.5];
  const x = (ratio: number) => LEFT + (WIDTH * Math.log(ratio / low)) / Math.log(high / low);
  const ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].filter((t) => t >= low && t <= high);

  const parts: string[] = [];
  let y = TOP;
  for (const { name, target, bars } of groups) {
    const height = bars.length * BAR;
    parts.push(`<text x="${LEFT - 8}" y="${y + height / 2 + 4}" text-anchor="end">${escapeXml(name)}</text>`);
    bars.forEach(({ contender, ratio }, i) => {
      const [from, to] = [Math.min(x(1), x(ratio)), Math.max(x(1), x(ratio))];
      const top = y + i * BAR;
      parts.push(
        `<rect x="${from.toFixed(1)}" y="${top}" width="${Math.max(1, to - from).toFixed(1)}" height="${BAR - 2}" fill="${colours[contender] ?? '#999'}"/>`,
        `<text x="${(to + 4).toFixed(1)}" y="${top + BAR - 3}" font-size="10">${ratio.toFixed(ratio < 10 ? 2 : 1)}×</text>`,
      );
    });
    if (target !== undefined)
      parts.push(`<path d="M${x(target).toFixed(1)} ${y - 3}v${height + 4}" stroke="#c00" stroke-width="2"/>`);
    y += height + GAP;
  }
  const axis = ticks.map(
    (t) =>
      `<path d="M${x(t).toFixed(1)} ${TOP - 8}V${y}" stroke="${t === 1 ? '#333' : '#ddd'}"/><text x="${x(t).toFixed(1)}" y="${TOP - 12}" text-anchor="middle">${t}×</text>`,
  );
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map((b) => b.contender)))];
  const legend = names.map(
    (name, i) =>
      `<rect x="${8 + i * 90}" y="46" width="10" height="10" fill="${colours[name] ?? '#999'}"/><text x="${22 + i * 90}" y="55">${escapeXml(name)}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 60}" height="${y + 8}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    '<text x="8" y="18" font-weight="bold">Time over lapidary’s: right of 1× lapidary is faster; the red tick is the target</text>',
    `<text x="8" y="36">${escapeXml(adapter)}</text>`,
    ...legend,
    ...axis,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
