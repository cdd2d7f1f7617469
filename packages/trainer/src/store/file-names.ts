// Names of the files that a run writes into its folder.

/** The config of the run, and what form its rows had. */
export const runFile = 'run.json';
/** Which process is at work in the folder, while one is. */
export const lockFile = 'run.lock';
/** A line a step. */
export const metricsFile = 'metrics.jsonl';
/** A line a sample. */
export const samplesFile = 'samples.jsonl';
/** What the run came to. */
export const summaryFile = 'summary.json';
/** A page with all of it. */
export const reportFile = 'report.html';
/** A line an evaluation. */
export const evalsFile = 'evals.jsonl';
/** What was known before the first step. */
export const startFile = 'start.json';
/** Files that TensorBoard reads begin like this. */
export const eventFilePrefix = 'tensorboard/events.out.tfevents.';
