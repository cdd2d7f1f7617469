import type { RunLogger } from './logger.js';
import type { EvalRecord, RunStart, SampleRecord, StepRecord, TrainingSummary } from './run-records.js';

/** Everything a run told, as plain data: what a report or a page is made from. */
export interface RunRecording {
  start: RunStart | null;
  steps: StepRecord[];
  evals: EvalRecord[];
  samples: SampleRecord[];
  notices: string[];
  summary: TrainingSummary | null;
}

/** A logger that keeps what it hears. `before` is what an earlier part of the same run wrote down. */
export function createRunRecorder(
  before: {
    readonly steps: readonly StepRecord[];
    readonly samples: readonly SampleRecord[];
    readonly evals?: readonly EvalRecord[];
  } = { steps: [], samples: [] },
): RunLogger & { readonly recording: RunRecording } {
  const recording: RunRecording = { start: null, steps: [], evals: [], samples: [], notices: [], summary: null };
  return {
    recording,
    onStart: (start) => {
      recording.start = start;
      if (start.startStep === 0) return;
      recording.steps = before.steps.filter(({ step }) => step <= start.startStep);
      recording.samples = before.samples.filter(({ step }) => step <= start.startStep);
      recording.evals = evalsBefore(start, recording.steps, before.evals ?? []);
    },
    onStep: (record) => void recording.steps.push(record),
    onEval: (record) => void recording.evals.push(record),
    onSample: (record) => void recording.samples.push(record),
    onNotice: (message) => void recording.notices.push(message),
    onEnd: (summary) => void (recording.summary = summary),
  };
}

/** The evaluations until a run goes on: as they were written down, or from what steps tell. */
function evalsBefore(
  { startStep, baseEvalLoss, evalRows }: Pick<RunStart, 'startStep' | 'baseEvalLoss' | 'evalRows'>,
  steps: readonly StepRecord[],
  written: readonly EvalRecord[],
): EvalRecord[] {
  const told = new Map(written.filter(({ step }) => step <= startStep).map((record) => [record.step, record]));
  return [{ step: 0, evalLoss: baseEvalLoss }, ...steps].flatMap(({ step, evalLoss }) => {
    const record = told.get(step);
    if (record !== undefined) return [record];
    return evalLoss === null ? [] : [{ step, loss: evalLoss, rows: evalRows, seconds: 0 }];
  });
}
