import { readText, type FileStore } from '../store/file-store.js';
import type { RunLogger } from './logger.js';
import type { StepRecord } from './run-records.js';

export const metricsFile = 'metrics.jsonl';
export const summaryFile = 'summary.json';

/**
 * Writes `metrics.jsonl`, a line a step as it happens, and `summary.json` at the end. A run that starts after step s first
 * cuts the file back to that step: steps that were done after the last checkpoint are done, and written, again.
 */
export function createMetricsLogger(store: FileStore): RunLogger {
  return {
    async onStart({ startStep }) {
      const kept = startStep > 0 ? await readMetrics(store) : [];
      const lines = kept.filter(({ step }) => step <= startStep).map((record) => `${JSON.stringify(record)}\n`);
      await store.write(metricsFile, lines.join(''));
      await store.remove(summaryFile);
    },
    onStep: (record) => store.append(metricsFile, `${JSON.stringify(record)}\n`),
    onEnd: (summary) => store.write(summaryFile, `${JSON.stringify(summary, null, 2)}\n`),
  };
}

/** The steps in `metrics.jsonl`; none where the file is missing. A last line that was cut short is left out. */
export async function readMetrics(store: FileStore): Promise<readonly StepRecord[]> {
  const files = await store.list(metricsFile);
  if (!files.some(({ name }) => name === metricsFile)) return [];
  const records: StepRecord[] = [];
  for (const line of (await readText(store, metricsFile)).split('\n')) {
    if (line.trim() === '') continue;
    try {
      records.push(JSON.parse(line) as StepRecord);
    } catch {
      break;
    }
  }
  return records;
}
