import { metricsFile, samplesFile, summaryFile } from '../store/file-names.js';
import { readText, type FileStore } from '../store/file-store.js';
import type { RunLogger } from './logger.js';
import type { SampleRecord, StepRecord } from './run-records.js';

const lineOf = (record: object) => `${JSON.stringify(record)}\n`;

/**
 * Writes `metrics.jsonl` and `samples.jsonl`, a line a step and a sample as they happen, and `summary.json` at the end. A run
 * that starts after step s first cuts the files back to that step: steps that were done after the last checkpoint are done,
 * and written, again.
 */
export function createMetricsLogger(store: FileStore): RunLogger {
  return {
    async onStart({ startStep }) {
      const cut = async (file: string, records: readonly { readonly step: number }[]) => {
        const kept = startStep > 0 ? records.filter(({ step }) => step <= startStep) : [];
        await store.write(file, kept.map(lineOf).join(''));
      };
      await cut(metricsFile, await readMetrics(store));
      await cut(samplesFile, await readSamples(store));
      await store.remove(summaryFile);
    },
    onStep: (record) => store.append(metricsFile, lineOf(record)),
    onSample: (record) => store.append(samplesFile, lineOf(record)),
    onEnd: (summary) => store.write(summaryFile, `${JSON.stringify(summary, null, 2)}\n`),
  };
}

/** The steps in `metrics.jsonl`; none where the file is missing. A last line that was cut short is left out. */
export const readMetrics = (store: FileStore) => readLines<StepRecord>(store, metricsFile);

/** The answers in `samples.jsonl`; none where the file is missing. A last line that was cut short is left out. */
export const readSamples = (store: FileStore) => readLines<SampleRecord>(store, samplesFile);

async function readLines<T>(store: FileStore, file: string): Promise<readonly T[]> {
  const files = await store.list(file);
  if (!files.some(({ name }) => name === file)) return [];
  const records: T[] = [];
  for (const line of (await readText(store, file)).split('\n')) {
    if (line.trim() === '') continue;
    try {
      records.push(JSON.parse(line) as T);
    } catch {
      break;
    }
  }
  return records;
}
