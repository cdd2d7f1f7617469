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

/** A logger that keeps what it hears. `before` are steps of an earlier part of the same run. */
export function createRunRecorder(
  before: readonly StepRecord[] = [],
): RunLogger & { readonly recording: RunRecording } {
  const recording: RunRecording = { start: null, steps: [], evals: [], samples: [], notices: [], summary: null };
  return {
    recording,
    onStart: (start) => {
      recording.start = start;
      recording.steps = before.filter(({ step }) => step <= start.startStep);
      const earlier = recording.steps.flatMap(({ step, evalLoss }) =>
        evalLoss === null ? [] : [{ step, loss: evalLoss, rows: start.evalRows, seconds: 0 }],
      );
      recording.evals.unshift(...earlier);
    },
    onStep: (record) => void recording.steps.push(record),
    onEval: (record) => void recording.evals.push(record),
    onSample: (record) => void recording.samples.push(record),
    onNotice: (message) => void recording.notices.push(message),
    onEnd: (summary) => void (recording.summary = summary),
  };
}
