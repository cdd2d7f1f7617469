import { caseName, type BenchCase } from '../cases/case.js';
import type { MemoryUse } from '../contenders/protocol.js';
import type { CaseResult, Measured } from '../run/measure-case.js';
import { bestPeer, disagreeing, targetOf } from '../run/verdict.js';

export const formatMs = (ms: number): string => (ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0));

/** Work over time, in the unit that the work is counted in. */
export function formatRate({ work }: BenchCase, ms: number): string {
  if (work === undefined) return '';
  const perSecond = (n: number) => n / (ms / 1000);
  const digits = (x: number) => x.toFixed(x < 10 ? 2 : x < 100 ? 1 : 0);
  if ('flops' in work) return `${digits(perSecond(work.flops) / 1e9)} GFLOP/s`;
  if ('bytes' in work) return `${digits(perSecond(work.bytes) / 1e9)} GB/s`;
  return `${digits(perSecond(work.tokens))} tokens/s`;
}

/** Cells of a markdown table, as lines. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)];
}

function peerCell({ ms, ratio, cpuRatio, failure }: Measured, isWrong: boolean, onCpu: boolean): string {
  if (failure !== undefined) return failure === '–' ? '–' : 'failed';
  const ratios = [ratio, ...(onCpu ? [cpuRatio] : [])].map((r) => (r === undefined ? '–' : `${r.toFixed(2)}×`));
  return `${formatMs(ms!)} (${ratios.join(', CPU ')})${isWrong ? ' **differs**' : ''}`;
}

function verdict(result: CaseResult, adapter: string): string {
  const target = targetOf(result, adapter);
  const best = bestPeer(result);
  if (target === undefined || best === undefined) return '';
  return `${best.ratio! >= target ? 'yes' : '**no**'} (≥ ${target}×)`;
}

/** Times of every case, one contender a column. */
export function timesTable(
  results: readonly CaseResult[],
  contenders: readonly string[],
  adapter: string,
  onCpu: boolean,
): string[] {
  const [ours, ...peers] = contenders;
  const head = [
    'case',
    `${ours} ms`,
    'rate',
    ...peers.map((name) => `${name} ms (× ours)`),
    'target met',
    'largest difference',
  ];
  const rows = results
    .filter(({ case: benchCase }) => isTimed(benchCase))
    .map((result) => {
      const of = (name: string) => result.measured.find(({ contender }) => contender === name);
      const own = of(ours!)!;
      const wrong = disagreeing(result);
      const differences = result.measured.flatMap(({ difference }) => (difference === undefined ? [] : [difference]));
      return [
        caseName(result.case),
        own.failure === undefined ? formatMs(own.ms!) : 'failed',
        own.failure === undefined ? formatRate(result.case, own.ms!) : '',
        ...peers.map((name) => {
          const measured = of(name);
          return measured === undefined ? '–' : peerCell(measured, wrong.includes(measured), onCpu);
        }),
        verdict(result, adapter),
        differences.length === 0 ? '' : `${Math.max(...differences).toExponential(0)} (≤ ${result.case.tolerance})`,
      ];
    });
  return rows.length === 0 ? [] : markdownTable(head, rows);
}

const isTimed = ({ memoryRuns, isStart }: BenchCase) => memoryRuns === undefined && !isStart;

/** How long a process that begins with nothing compiled takes until it has learned something. */
export function startTable(results: readonly CaseResult[]): string[] {
  const rows = results.flatMap(({ case: benchCase, measured }) =>
    measured.flatMap(({ contender, start }) => {
      if (start === undefined) return [];
      const { loadingMs, firstStepMs, secondStepMs } = start;
      const ratio = `${(firstStepMs / secondStepMs).toFixed(2)}×`;
      return [[benchCase.name, contender, ...[loadingMs, firstStepMs, secondStepMs].map(formatMs), ratio]];
    }),
  );
  if (rows.length === 0) return [];
  return markdownTable(
    ['cold start', 'contender', 'loading ms', 'first step ms', 'second step ms', 'first / second'],
    rows,
  );
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)}`;
const change = (before: number, after: number) =>
  `${megabytes(before)} → ${megabytes(after)} (${after >= before ? '+' : ''}${megabytes(after - before)})`;

/** Memory before and after many runs. */
export function memoryTable(results: readonly CaseResult[]): string[] {
  const rows = results.flatMap(({ case: benchCase, measured }) =>
    measured.flatMap(({ contender, memory, ms, difference }) => {
      if (memory === undefined) return [];
      const { before, after } = memory;
      const cell = (key: keyof MemoryUse) =>
        before[key] === undefined || after[key] === undefined ? '–' : change(before[key], after[key]);
      const agrees = difference === undefined ? '' : difference.toExponential(0);
      return [[benchCase.name, contender, formatMs(ms!), cell('heap'), cell('resident'), cell('gpu'), agrees]];
    }),
  );
  if (rows.length === 0) return [];
  return markdownTable(
    ['runs', 'contender', 'ms a run', 'heap MB', 'resident MB', 'GPU buffers MB', 'losses differ by'],
    rows,
  );
}

/** Failures in their own words, and what each kernel's variant was. */
export function notes(results: readonly CaseResult[]): string[] {
  return results.flatMap((result) =>
    result.measured.flatMap(({ contender, failure }) =>
      failure === undefined || failure === '–'
        ? []
        : [`- ${caseName(result.case)}: ${contender} failed: ${failure.split('\n')[0]!.slice(0, 300)}`],
    ),
  );
}
