import { parseJson } from '@lapidary/gemma';
import * as v from 'valibot';
import type { ConfigEcho } from '../config/config-echo.js';
import { RunFileError, RunRecordsError } from '../errors/errors.js';
import { readEvals, readMetrics, readSamples } from '../metrics/metrics-file.js';
import type { EvalRecord, RunStart, StepRecord, TrainingSummary } from '../metrics/run-records.js';
import { startFile, summaryFile } from '../store/file-names.js';
import { readText, type FileStore } from '../store/file-store.js';
import { readRunFile } from '../store/run-folder.js';
import type { ReportData } from './render-report.js';

/** A run as its files tell of it. */
export interface RecordedRun extends ReportData {
  /** Its folder. */
  readonly location: string;
  readonly config: ConfigEcho;
}

/**
 * A run from the files in its folder, whether it has ended or not. Runs of earlier versions kept less: what is not there is left out.
 * @throws RunFileError where there is no run; RunRecordsError for a file that is not as a run writes it
 */
export async function readRun(store: FileStore): Promise<RecordedRun> {
  const file = await readRunFile(store);
  const { location } = store;
  if (file === null) throw new RunFileError({ location, reason: 'is not there: is this the folder of a run?' });
  const [steps, written, samples] = [await readMetrics(store), await readEvals(store), await readSamples(store)];
  const start = await readRecord<RunStart>(store, startFile, startSchema);
  const summary = await readRecord<TrainingSummary>(store, summaryFile, summarySchema);
  const evals = written.length > 0 ? lastOfEach(written) : evalsOf(steps, summary?.baseEvalLoss ?? null);
  return {
    location,
    config: file.config,
    start,
    steps: [...steps],
    evals,
    samples: [...samples],
    notices: [],
    summary,
  };
}

const lastOfEach = (records: readonly EvalRecord[]): EvalRecord[] => [
  ...new Map(records.map((record) => [record.step, record])).values(),
];

/** What steps tell of evaluations, of runs that kept nothing else. */
function evalsOf(steps: readonly StepRecord[], baseEvalLoss: number | null): EvalRecord[] {
  return [{ step: 0, evalLoss: baseEvalLoss }, ...steps].flatMap(({ step, evalLoss }) =>
    evalLoss === null ? [] : [{ step, loss: evalLoss, rows: 0, seconds: 0 }],
  );
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const measured = v.nullable(v.number());
const adapter = v.looseObject({
  vendor: v.string(),
  architecture: v.string(),
  backend: v.string(),
  device: v.optional(v.string()),
  description: v.optional(v.string()),
});
const names = v.array(v.string());
const startSchema = v.looseObject({
  config: v.record(v.string(), v.unknown()),
  totalSteps: count,
  startStep: count,
  baseEvalLoss: measured,
  trainRows: count,
  evalRows: count,
  adapter,
  memory: v.array(v.looseObject({ category: v.string(), bytes: v.number() })),
  load: v.nullable(
    v.looseObject({
      source: v.string(),
      format: v.string(),
      parameters: count,
      trainableParameters: count,
      loaded: count,
      converted: count,
      initialised: names,
      unused: names,
    }),
  ),
  machine: v.optional(v.record(v.string(), v.string())),
  lossIsCrossEntropy: v.optional(v.boolean()),
  startedAt: v.string(),
});
const summarySchema = v.looseObject({
  name: v.string(),
  steps: count,
  baseEvalLoss: measured,
  finalEvalLoss: measured,
  best: v.optional(v.nullable(v.looseObject({ step: count, loss: v.number() })), null),
  finalLoss: measured,
  peakBytesPlanned: v.number(),
  peakBytesAllocated: v.number(),
  adapter,
  secondsToFirstStep: measured,
  seconds: v.number(),
  tokens: count,
  startedAt: v.string(),
  exported: names,
  exportedStep: v.optional(count),
  outDir: v.string(),
});

/** A file that is one record; null where it is missing. @throws RunRecordsError */
async function readRecord<T>(store: FileStore, file: string, schema: v.GenericSchema): Promise<T | null> {
  const files = await store.list(file);
  if (!files.some(({ name }) => name === file)) return null;
  const fail = (reason: string, cause?: unknown) =>
    new RunRecordsError({ location: store.location, file, line: 1, reason }, { cause });
  let record: unknown;
  try {
    record = parseJson(await readText(store, file));
  } catch (cause) {
    throw fail('is no JSON', cause);
  }
  const parsed = v.safeParse(schema, record);
  if (parsed.success) return parsed.output as T;
  const [issue] = parsed.issues;
  throw fail(`${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`);
}
