import { formatBytes, formatNumber, formatSeconds } from '../format/format.js';
import type { StepRecord } from '../metrics/run-records.js';

export interface ProgressState {
  readonly totalSteps: number;
  readonly record: StepRecord;
  /** Of the last evaluation; null before the first. */
  readonly evalLoss: number | null;
  /** null while there is too little to tell from. */
  readonly secondsLeft: number | null;
}

const barCells = { min: 8, max: 28 };
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/**
 * One line of at most `columns` characters: step, bar, loss, evaluation loss, learning rate, gradient norm, speed, memory, time
 * left. In a narrow window the least needed go first.
 */
export function formatProgressLine(state: ProgressState, columns: number): string {
  const { record, totalSteps } = state;
  const fraction = Math.min(1, record.step / totalSteps);
  const head = `step ${String(record.step).padStart(String(totalSteps).length)}/${totalSteps}`;
  let facts = factsOf(state);
  const lengthOf = () => facts.reduce((sum, { text }) => sum + text.length + 2, head.length);
  const barRoom = () => columns - lengthOf() - ' ▕▏ 100%'.length;
  while (barRoom() < barCells.min && facts.length > 1) {
    const last = Math.max(...facts.map(({ rank }) => rank));
    facts = facts.filter(({ rank }) => rank !== last);
  }
  const cells = Math.min(barCells.max, barRoom());
  const bar = cells >= barCells.min ? ` ${drawBar(fraction, cells)}` : '';
  const percent = `${Math.floor(fraction * 100)}%`.padStart(5);
  return [head + bar + percent, ...facts.map(({ text }) => text)].join('  ').slice(0, columns);
}

/** The same facts without a bar, for logs. */
export function formatLogLine(state: ProgressState, { showMemory = true } = {}): string {
  const { record, totalSteps } = state;
  return [`step ${record.step}/${totalSteps}`, ...factsOf(state, showMemory).map(({ text }) => text)].join('  ');
}

/** In the order they are shown; those of the highest rank are dropped first. */
function factsOf(
  { record, evalLoss, secondsLeft, totalSteps }: ProgressState,
  showMemory = true,
): { text: string; rank: number }[] {
  const facts = [
    { text: `loss ${formatNumber(record.loss)}`, rank: 0 },
    { text: evalLoss === null ? '' : `eval ${formatNumber(evalLoss)}`, rank: 1 },
    { text: `lr ${formatNumber(record.learningRate)}`, rank: 5 },
    { text: `grad ${formatNumber(record.gradNorm)}`, rank: 6 },
    { text: `${Math.round(record.tokensPerSecond)} tok/s`, rank: 3 },
    { text: showMemory ? formatBytes(record.peakBytes) : '', rank: 4 },
    { text: secondsLeft === null || record.step >= totalSteps ? '' : `${formatSeconds(secondsLeft)} left`, rank: 2 },
  ];
  return facts.filter(({ text }) => text !== '');
}

function drawBar(fraction: number, cells: number): string {
  const filled = Math.round(fraction * cells * 8);
  const whole = Math.floor(filled / 8);
  const part = eighths[filled % 8] ?? '';
  return `▕${'█'.repeat(whole)}${part}${' '.repeat(cells - whole - part.length)}▏`;
}
