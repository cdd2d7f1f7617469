import { formatAdapter, formatBytes, formatNumber, formatSeconds } from '../format/format.js';
import type { RunLogger } from '../metrics/logger.js';
import type { RunStart, SampleRecord, StepRecord, TrainingSummary } from '../metrics/run-records.js';
import { formatLogLine, formatProgressLine } from './progress-line.js';

/** Where progress is shown. */
export interface ProgressTerminal {
  write(text: string): void;
  /** A terminal where a line can be drawn again, or a log (a file, CI) where lines only follow each other. */
  readonly isInteractive: boolean;
  /** Characters in a line, now. */
  columns(): number;
  /** Milliseconds, from any start. */
  now(): number;
}

/** In a log, a line is written at most this often, beside the first, the last and those with an evaluation. */
const logIntervalMs = 10_000;
/** Weight of the newest step in the mean that the time left is told from. */
const smoothing = 0.1;
/** At most so many answers of a step are shown; all are counted, and in `samples.jsonl`. */
const mostShown = 4;
const eraseLine = '\r\x1b[2K';

/** Answers to sample rows at a step; `rows` are those whose answer the data know. */
interface Answered {
  readonly shown: number;
  readonly rows: number;
  readonly right: number;
}

/** Shows a run in a terminal: one line that is drawn again, or in a log a line every so often. */
export function createProgressLogger(terminal: ProgressTerminal, { showSamples = true } = {}): RunLogger {
  const { isInteractive } = terminal;
  let live = '';
  let start: RunStart | null = null;
  let evalLoss: number | null = null;
  /** Step of the evaluation that a line of its own told of. */
  let evalToldAt: number | null = null;
  let phase: string | null = null;
  let peakBytes: number | null = null;
  const notices = new Set<string>();
  let lastStepAt: number | null = null;
  let msPerStep: number | null = null;
  let lastLogAt = -Infinity;
  const answered = new Map<number, Answered>();

  const draw = (line: string) => {
    live = line;
    terminal.write(`${eraseLine}${line}`);
  };
  /** Lines that stay, above the line that is drawn again. */
  const print = (text: string) => {
    terminal.write(isInteractive && live !== '' ? `${eraseLine}${text}\n${live}` : `${text}\n`);
  };
  const finishLine = () => {
    if (isInteractive && live !== '') terminal.write('\n');
    live = '';
  };

  function onStep(record: StepRecord): void {
    const now = terminal.now();
    // The first interval is missing: the first step also compiles.
    if (lastStepAt !== null)
      msPerStep = msPerStep === null ? now - lastStepAt : msPerStep + smoothing * (now - lastStepAt - msPerStep);
    lastStepAt = now;
    phase = null;
    evalLoss = record.evalLoss ?? evalLoss;
    const totalSteps = start?.totalSteps ?? record.step;
    const secondsLeft = msPerStep === null ? null : ((totalSteps - record.step) * msPerStep) / 1000;
    const state = { totalSteps, record, evalLoss, secondsLeft };
    if (isInteractive) draw(formatProgressLine(state, Math.max(20, terminal.columns() - 1)));
    else {
      const isFirst = record.step === (start?.startStep ?? 0) + 1;
      if (!isFirst && record.step !== totalSteps && record.evalLoss === null && now - lastLogAt < logIntervalMs) return;
      lastLogAt = now;
      // Only what earlier lines have not said.
      const isToldAlready = record.evalLoss === null || evalToldAt === record.step;
      const showMemory = record.peakBytes !== peakBytes;
      peakBytes = record.peakBytes;
      print(formatLogLine({ ...state, evalLoss: isToldAlready ? null : evalLoss }, { showMemory }));
    }
  }

  return {
    onPhase({ name, done, total, detail }) {
      const amount =
        done === undefined || total === undefined || total === 0 ? '' : ` ${Math.floor((100 * done) / total)}%`;
      const line = `${name} …${amount}${detail === undefined ? '' : ` (${detail})`}`;
      if (isInteractive) draw(line.slice(0, terminal.columns() - 1));
      else if (name !== phase) print(`${name} …`);
      else if (line !== `${name} …` && terminal.now() - lastLogAt >= logIntervalMs) print(line);
      else return;
      phase = name;
      lastLogAt = terminal.now();
    },
    onStart(runStart) {
      start = runStart;
      if (live !== '') terminal.write(eraseLine);
      live = '';
      for (const line of describeStart(runStart)) print(line);
    },
    onStep,
    onEval({ step, loss, rows, metrics = {} }) {
      evalLoss = loss;
      const more = Object.entries(metrics).map(([name, value]) => `${name} ${formatNumber(value)}`);
      if (step === 0) print([`Base model: eval loss ${formatNumber(loss)} on ${rows} rows`, ...more].join(', '));
      else if (more.length > 0) print(`After step ${step}: eval loss ${formatNumber(loss)}, ${more.join(', ')}`);
      else return;
      evalToldAt = step;
    },
    onSample(sample) {
      const { step, answer, expected } = sample;
      const { shown, rows, right } = answered.get(step) ?? { shown: 0, rows: 0, right: 0 };
      answered.set(step, {
        shown: shown + 1,
        rows: rows + (expected === null ? 0 : 1),
        right: right + (answer === expected ? 1 : 0),
      });
      if (!showSamples || shown > mostShown) return;
      print(shown < mostShown ? describeSample(sample, terminal.columns()) : '  … more are in samples.jsonl');
    },
    onCheckpoint({ step, name }) {
      if (!isInteractive) print(`Saved ${name} after step ${step}`);
    },
    onNotice(message) {
      if (!notices.has(message)) print(`Note: ${message}`);
      notices.add(message);
    },
    onEnd({ steps, seconds, baseEvalLoss, finalEvalLoss, best, outDir, exported, exportedStep }) {
      finishLine();
      print(`Done: ${steps} steps in ${formatSeconds(seconds)}`);
      if (baseEvalLoss !== null && finalEvalLoss !== null) {
        const change = 100 * (finalEvalLoss / baseEvalLoss - 1);
        print(
          `Eval loss ${formatNumber(baseEvalLoss)} → ${formatNumber(finalEvalLoss)} (${change < 0 ? '−' : '+'}${Math.abs(change).toFixed(0)}%)`,
        );
      }
      const counts = [...answered.values()].filter(({ rows }) => rows > 0);
      if (counts.length > 0) {
        const [first, last] = [counts[0]!, counts.at(-1)!];
        const of = ({ right, rows }: Answered) => `${right} of ${rows}`;
        // Where none are held out, rows that were learned from are answered.
        const which = start?.evalRows === 0 ? 'Learned answers' : 'Held-out answers';
        print(`${which} right to the letter: ${first === last ? '' : `${of(first)} → `}${of(last)}`);
      }
      if (best !== null) print(describeBest(best, { steps, exportedStep, outDir }));
      print(`Wrote ${[...exported, 'report.html', 'metrics.jsonl', 'summary.json'].join(', ')} to ${outDir}`);
    },
    onFail: finishLine,
  };
}

function describeBest(
  { step, loss }: NonNullable<TrainingSummary['best']>,
  { steps, exportedStep, outDir }: Pick<TrainingSummary, 'steps' | 'exportedStep' | 'outDir'>,
): string {
  if (step === steps) return `The last step has the lowest eval loss, and is what was exported`;
  const lowest = `The lowest eval loss is ${formatNumber(loss)}, after step ${step}`;
  if (exportedStep === step) return `${lowest}, which is what was exported`;
  return `${lowest}; exported was the last step, ${exportedStep}. That one: lapidary export ${outDir} --best --out <folder>`;
}

function describeStart({ adapter, memory, load, trainRows, evalRows, totalSteps, startStep }: RunStart): string[] {
  const planned = memory.reduce((sum, { bytes }) => sum + bytes, 0);
  const lines = [`Device: ${formatAdapter(adapter)}`];
  if (load) {
    const share = load.parameters > 0 ? ((100 * load.trainableParameters) / load.parameters).toPrecision(2) : '0';
    lines.push(
      `Model: ${load.source}, ${millions(load.parameters)} parameters, ${millions(load.trainableParameters)} trained (${share}%)`,
    );
  }
  lines.push(
    `Memory: ${formatBytes(planned)} planned (${memory.map(({ category, bytes }) => `${category.toLowerCase()} ${formatBytes(bytes)}`).join(', ')})`,
  );
  lines.push(`Data: ${trainRows} rows to train on, ${evalRows} to evaluate`);
  lines.push(startStep > 0 ? `Going on after step ${startStep} of ${totalSteps}` : `Training for ${totalSteps} steps`);
  return lines;
}

function describeSample({ step, prompt, answer }: SampleRecord, columns: number): string {
  const oneLine = (text: string) => {
    const flat = text.replace(/\s+/g, ' ').trim();
    const room = Math.max(20, Math.min(columns, 120) - 12);
    return flat.length > room ? `${flat.slice(0, room - 1)}…` : flat;
  };
  return `  ${step === 0 ? 'before' : `step ${step}`} │ ${oneLine(prompt)}\n  ${' '.repeat(step === 0 ? 6 : `step ${step}`.length)} │ → ${oneLine(answer) || '(nothing)'}`;
}

function millions(count: number): string {
  if (count < 1e6) return count.toLocaleString('en');
  return count < 1e9 ? `${(count / 1e6).toPrecision(3)} M` : `${(count / 1e9).toPrecision(3)} B`;
}
