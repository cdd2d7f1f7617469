import { parseJson } from '@lapidary/gemma';
import * as v from 'valibot';
import { RunRecordsError } from '../errors/errors.js';
import { evalsFile, metricsFile, samplesFile, startFile, summaryFile } from '../store/file-names.js';
import { readText, type FileStore } from '../store/file-store.js';
import type { RunLogger } from './logger.js';
import type { EvalRecord, SampleRecord, StepRecord } from './run-records.js';

const lineOf = (record: object) => `${JSON.stringify(record)}\n`;

/**
 * Writes `start.json`, then `metrics.jsonl`, `evals.jsonl` and `samples.jsonl`, a line a step, an evaluation and a sample as they happen,
 * and `summary.json` at the end. A run
 * that starts after step s first cuts the files back to that step: steps that were done after the last checkpoint are done,
 * and written, again.
 */
export function createMetricsLogger(store: FileStore): RunLogger {
  return {
    async onStart(start) {
      const { startStep } = start;
      const cut = async (file: string, records: readonly { readonly step: number }[]) => {
        const kept = startStep > 0 ? records.filter(({ step }) => step <= startStep) : [];
        await store.write(file, kept.map(lineOf).join(''));
      };
      await cut(metricsFile, await readMetrics(store));
      await cut(evalsFile, await readEvals(store));
      await cut(samplesFile, await readSamples(store));
      await store.write(startFile, `${JSON.stringify(start, null, 2)}\n`);
      await store.remove(summaryFile);
    },
    onStep: (record) => store.append(metricsFile, lineOf(record)),
    onEval: (record) => store.append(evalsFile, lineOf(record)),
    onSample: (record) => store.append(samplesFile, lineOf(record)),
    onEnd: (summary) => store.write(summaryFile, `${JSON.stringify(summary, null, 2)}\n`),
  };
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: what was one is null in a file. */
const measured = v.nullable(v.number());
const stepSchema = v.looseObject({
  step: count,
  epoch: measured,
  loss: measured,
  evalLoss: measured,
  learningRate: measured,
  gradNorm: measured,
  tokensPerSecond: measured,
  stepMs: measured,
  peakBytes: measured,
  metrics: v.optional(v.record(v.string(), measured)),
});
const evalSchema = v.looseObject({
  step: count,
  loss: measured,
  rows: count,
  seconds: measured,
  metrics: v.optional(v.record(v.string(), measured)),
});
const sampleSchema = v.looseObject({
  step: count,
  id: v.string(),
  prompt: v.string(),
  answer: v.string(),
  expected: v.nullable(v.string()),
  pictures: v.optional(v.array(v.string())),
});

/**
 * The steps in `metrics.jsonl`; none where the file is missing. A last line that was cut short is left out.
 * @throws RunRecordsError naming a line that is no step
 */
export const readMetrics = (store: FileStore) => readLines<StepRecord>(store, metricsFile, stepSchema);

/**
 * The evaluations in `evals.jsonl`; none where the file is missing. A last line that was cut short is left out.
 * @throws RunRecordsError naming a line that is no evaluation
 */
export const readEvals = (store: FileStore) => readLines<EvalRecord>(store, evalsFile, evalSchema);

/**
 * The answers in `samples.jsonl`; none where the file is missing. A last line that was cut short is left out.
 * @throws RunRecordsError naming a line that is no answer
 */
export const readSamples = (store: FileStore) => readLines<SampleRecord>(store, samplesFile, sampleSchema);

async function readLines<T>(store: FileStore, file: string, schema: v.GenericSchema): Promise<readonly T[]> {
  const files = await store.list(file);
  if (!files.some(({ name }) => name === file)) return [];
  const records: T[] = [];
  const lines = (await readText(store, file)).split('\n');
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    const fail = (reason: string, cause?: unknown): never => {
      throw new RunRecordsError({ location: store.location, file, line: i + 1, reason }, { cause });
    };
    let record: unknown;
    try {
      record = parseJson(line);
    } catch (cause) {
      if (i === lines.length - 1) return;
      fail('is no JSON', cause);
    }
    const parsed = v.safeParse(schema, record);
    if (!parsed.success) {
      const [issue] = parsed.issues;
      fail(`${v.getDotPath(issue) ?? 'the line'}: ${issue.message}`);
    }
    records.push(record as T);
  });
  return records;
}
