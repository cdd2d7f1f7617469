import type { RunLogger } from '../metrics/logger.js';
import { createProgressLogger } from './progress-logger.js';

/** What is asked of a stream: a terminal says so, and how wide it is. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Progress on a stream of this process (standard error, so that standard output stays for results). */
export function createTerminalProgress({
  stream = process.stderr,
  showSamples = true,
}: {
  stream?: ProgressStream;
  showSamples?: boolean;
} = {}): RunLogger {
  const isInteractive = stream.isTTY === true && !process.env['CI'] && process.env['TERM'] !== 'dumb';
  return createProgressLogger(
    {
      write: (text) => void stream.write(text),
      isInteractive,
      columns: () => stream.columns || 100,
      now: () => performance.now(),
    },
    { showSamples },
  );
}
