import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { CaseResult } from '../run/measure-case.js';
import { memoryTable, notes, startTable, timesTable } from './table.js';
import { plotRatios } from './plot.js';

export interface Circumstances {
  readonly adapter: string;
  readonly isSoftware: boolean;
  readonly size: string;
  readonly rounds: number;
  /** Whether the others waited as we do. */
  readonly patient: boolean;
  /** What was typed. */
  readonly command: string;
  /** Name, version and device of everyone, ourselves first. */
  readonly contenders: readonly { readonly name: string; readonly version: string; readonly device: string }[];
}

/** `llvmpipe: Mesa 25…` → `llvmpipe`. */
export const adapterSlug = (adapter: string, size: string): string => {
  const known = ['llvmpipe', 'swiftshader'].find((name) => adapter.toLowerCase().includes(name));
  const name =
    known ??
    adapter
      .split(/[:,(]/)[0]!
      .trim()
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-');
  return size === 'full' || known === undefined ? `${name}-${size}` : name;
};

/** The machine, in words. */
const machine = () =>
  `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} threads, ${Math.round(totalmem() / 2 ** 30)} GiB; Node ${process.version}, ${process.platform} ${process.arch}`;

export function renderMarkdown(results: readonly CaseResult[], about: Circumstances, plotFile: string): string {
  const names = about.contenders.map(({ name }) => name);
  const memory = memoryTable(results);
  const starts = startTable(results);
  const said = notes(results);
  const lines = [
    `# ${about.adapter}`,
    '',
    `![Time over lapidary's](${plotFile})`,
    '',
    `- ${new Date().toISOString().slice(0, 10)}, ${machine()}`,
    `- \`${about.command}\`: sizes ${about.size}, medians of ${about.rounds} rounds that everyone takes part in by turns`,
    ...about.contenders.map(
      ({ name, version, device }) => `- ${[name, version].filter(Boolean).join(' ')} on ${device}`,
    ),
    ...(about.patient ? ['- The others wait for the GPU as we do (`--patient`), without taking a core'] : []),
    '',
    "In brackets: their time over ours, the median of the rounds' own ratios; more than 1 is slower than we are.",
    ...(about.isSoftware
      ? ['`CPU`: the same of the time of all threads, which others on this machine disturb less.']
      : []),
    'Targets are for the better of jax-js and tfjs, which run on the same adapter; PyTorch is there for orientation. Results are',
    "compared: the largest difference from ours, relative to the results' root mean square, with what is allowed.",
    '',
    ...timesTable(results, names, about.adapter, about.isSoftware),
    ...(memory.length > 0 ? ['', '## Memory', '', ...memory] : []),
    ...(starts.length > 0 ? ['', '## Cold start', '', ...starts] : []),
    ...(said.length > 0 ? ['', '## Failures', '', ...said] : []),
    '',
  ];
  return lines.join('\n');
}

/** Writes the table and the plot, and gives their paths. */
export function writeReport(folder: string, results: readonly CaseResult[], about: Circumstances): string[] {
  const slug = `${adapterSlug(about.adapter, about.size)}${about.patient ? '-patient' : ''}`;
  mkdirSync(folder, { recursive: true });
  const [table, plot] = [join(folder, `${slug}.md`), join(folder, `${slug}.svg`)];
  writeFileSync(table, renderMarkdown(results, about, `${slug}.svg`));
  writeFileSync(plot, plotRatios(results, about.adapter));
  return [table, plot];
}
