// Configuration of a run
export { diffConfigs, echoConfig, type ConfigChange, type ConfigEcho } from './config/config-echo.js';
export { closest, describeValue } from './config/find-problems.js';
export { createLoraTargetFilter, createPathFilter, createTrainableFilter } from './config/path-patterns.js';
export { planRun, type RunPlan } from './config/plan-run.js';
export { resolveTrainConfig } from './config/resolve-train-config.js';
export type { RunTraining, TrainingOptions } from './config/run-types.js';
export * from './config/train-config.js';
export * from './errors/errors.js';
export { createSchedule, type Schedule, type ScheduleOptions, type WarmupRule } from './schedule/schedule.js';

// What a run tells
export { formatAdapter, formatBytes, formatNumber, formatSeconds } from './metrics/format.js';
export { combineLoggers, type RunLogger } from './metrics/logger.js';
export {
  createMetricsLogger,
  metricsFile,
  readMetrics,
  readSamples,
  samplesFile,
  summaryFile,
} from './metrics/metrics-file.js';
export { createRunRecorder, type RunRecording } from './metrics/record-run.js';
export type * from './metrics/run-records.js';
export { createProgressLogger, type ProgressTerminal } from './progress/progress-logger.js';
export { renderLossChart } from './report/loss-chart.js';
export { createReportLogger, reportFile } from './report/report-logger.js';
export { profileTable, type ProfileTable } from './report/profile-table.js';
export { renderProfile } from './report/render-profile.js';
export { renderReport, type ReportData } from './report/render-report.js';

// What a run keeps
export type { JsonValue } from './store/checkpoint-manifest.js';
export { readText, type ByteRange, type FileContent, type FileStore, type StoredFile } from './store/file-store.js';
export {
  loadLatestCheckpoint,
  readCheckpointState,
  type CheckpointTensor,
  type LoadedCheckpoint,
  type RejectedCheckpoint,
} from './store/load-checkpoint.js';
export { createMemoryStore } from './store/memory-store.js';
export { createDirectoryHandleStore, openOpfsStore } from './store/opfs-store.js';
export { prepareRunFolder, runFile, type RowsForm, type RunFolder } from './store/run-folder.js';
export { listCheckpoints, saveCheckpoint, type CheckpointContent, type KeepRule } from './store/save-checkpoint.js';
export {
  hyperInput,
  planEval,
  planMicroStep,
  planStep,
  planTrained,
  planUpdate,
  type BatchShape,
  type HyperParameters,
  type StepModel,
  type Trained,
} from './loop/train-programs.js';

// The run itself
export { batchShapes, bucketLength, makeBatch, type Batch } from './data/batch.js';
export { decodeText } from './data/decode-text.js';
export { DatasetError, EmptyDatasetError } from './data/errors.js';
export { epochOrder, splitRows } from './data/order.js';
export { publishedImagePreset } from './data/pictures.js';
export { parseRow, readJsonl, rowsOf, type Row, type RowFormat } from './data/read-rows.js';
export { promptTokens, tokeniseRows, type Example, type TokeniseOptions } from './data/tokenise.js';
export { judgeFit, tryFit, type Fit, type MachineMemory } from './loop/check-fit.js';
export { ExportError } from './loop/export-run.js';
export { planPreset } from './loop/plan-preset.js';
export { profileTraining, type ProfileTrainingOptions, type TrainingProfile } from './loop/profile-training.js';
export { openData, planRunMemory, runTraining } from './loop/run-training.js';
export { type BudgetedPlan, describeRecomputed } from './loop/plan-within-budget.js';
export { createDeviceSink, openModel, planModel, type ModelPlan, type OpenModel } from './loop/setup-model.js';
export type { TrainPlan } from './loop/train-plan.js';
export { tuneTraining, type TrainingTuning, type TuneTrainingOptions } from './loop/tune-training.js';
