import * as v from 'valibot';
import { isTooDeep } from '../data/json-depth.js';
import { RunFileError } from '../errors/errors.js';
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

const number = v.number();
/** JSON has no NaN and no infinity: what was one is null in a file of an earlier version. */
const measured = v.pipe(
  v.nullable(number),
  v.transform((value) => value ?? Number.NaN),
);
const step = v.pipe(number, v.safeInteger(), v.minValue(0));

const stepSchema: v.GenericSchema<unknown, StepRecord> = v.looseObject({
  step,
  epoch: number,
  loss: measured,
  evalLoss: v.nullable(number),
  learningRate: number,
  gradNorm: measured,
  tokensPerSecond: measured,
  stepMs: number,
  peakBytes: number,
  metrics: v.exactOptional(v.record(v.string(), measured)),
});

const sampleSchema: v.GenericSchema<unknown, SampleRecord> = v.looseObject({
  step,
  id: v.string(),
  prompt: v.string(),
  answer: v.string(),
  expected: v.nullable(v.string()),
  pictures: v.exactOptional(v.array(v.string())),
});

/**
 * The steps in `metrics.jsonl`; none where the file is missing. A last line that was cut short is left out.
 * @throws RunFileError for a line that is something else
 */
export const readMetrics = (store: FileStore) => readLines(store, metricsFile, stepSchema);
/** The answers in `samples.jsonl`; as `readMetrics`. @throws RunFileError */
export const readSamples = (store: FileStore) => readLines(store, samplesFile, sampleSchema);

async function readLines<T>(
  store: FileStore,
  file: string,
  schema: v.GenericSchema<unknown, T>,
): Promise<readonly T[]> {
  const files = await store.list(file);
  if (!files.some(({ name }) => name === file)) return [];
  const lines = (await readText(store, file)).split('\n');
  const records: T[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const fail = (problem: string): never => {
      throw new RunFileError({ location: store.location, file, reason: `line ${i + 1} ${problem}` });
    };
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      // The newest line has no end where its writer was stopped.
      if (i === lines.length - 1) break;
      fail('is no JSON');
    }
    const parsed = isTooDeep(json) ? undefined : v.safeParse(schema, json);
    if (parsed?.success) records.push(parsed.output);
    else fail(`is no record of this kind${parsed === undefined ? '' : describe(parsed.issues[0])}`);
  }
  return records;
}

const describe = (issue: v.BaseIssue<unknown>) => `: ${v.getDotPath(issue) ?? 'it'}: ${issue.message}`;
