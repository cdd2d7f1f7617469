// Configuration of a run
export { diffConfigs, echoConfig, type ConfigChange, type ConfigEcho } from './config/config-echo.js';
export { closest, describeValue, findProblems } from './config/find-problems.js';
export { trainConfigJsonSchema } from './config/json-schema.js';
export { planRun, type RunSchedule } from './config/plan-run.js';
export { resolveTrainConfig } from './config/resolve-train-config.js';
export type { RunTraining, TrainingOptions } from './config/run-types.js';
export * from './config/train-config.js';
export { rowFormats, type DataFormat, type DataOptions, type DataSource, type RowFormat } from './data/data-options.js';
export * from './errors/errors.js';
export { createSchedule, type Schedule, type ScheduleOptions, type WarmupRule } from './schedule/schedule.js';

// What a run learns, and how
export { planAnswers, type SamplePrompt } from './objectives/answers.js';
export {
  batchShapes,
  bucketLength,
  makeBatch,
  type CompletionBatch,
  type CompletionInputs,
  type CompletionShape,
} from './objectives/completion/batch.js';
export {
  bindCompletion,
  completion,
  type CompletionSettings,
  type CompletionTask,
} from './objectives/completion/completion.js';
export { packExamples, paddingOf, type PackOptions, type Padding } from './objectives/completion/packing.js';
export {
  makePreferenceBatch,
  preferenceShapes,
  type PreferenceBatch,
  type PreferenceExample,
  type PreferenceInputs,
  type PreferenceShape,
} from './objectives/preference/batch.js';
export type { PreferenceSettings } from './objectives/preference/loss.js';
export { bindPreference, preference, type PreferenceTask } from './objectives/preference/preference.js';
export { parsePreferenceRow, type PreferenceRow } from './objectives/preference/rows.js';
export {
  makeContrastiveBatch,
  type ContrastiveBatch,
  type ContrastiveInputs,
  type ContrastiveShape,
} from './objectives/contrastive/batch.js';
export {
  bindContrastive,
  contrastive,
  type ContrastiveSettings,
  type ContrastiveTask,
} from './objectives/contrastive/contrastive.js';
export { promptsOf, type ContrastiveExample, type Prompts } from './objectives/contrastive/encode.js';
export { parseContrastiveRow, type ContrastiveRow } from './objectives/contrastive/rows.js';
export { imagesOf, parseRow, type TextualRow } from './objectives/completion/rows.js';
export { loadOne, type StoredExample } from './objectives/completion/stored-examples.js';
export {
  describeTokenised,
  expectedAnswer,
  promptTokens,
  tokeniseRows,
  type CompletionExample,
  type TokeniseCounts,
  type TokeniseOptions,
} from './objectives/completion/tokenise.js';
export type * from './objectives/objective.js';
export { objectiveOf, objectives, type ObjectiveConfig, type ObjectiveInput } from './objectives/registry.js';
export { hyperInput, type Optimizer, type StepValues, type UpdateArgs } from './optimizers/optimizer.js';
export {
  optimizerOf,
  optimizers,
  type OptimizerConfig,
  type OptimizerInput,
  type OptimizerType,
} from './optimizers/registry.js';

// What a run tells
export { formatAdapter, formatBytes, formatNumber, formatSeconds } from './format/format.js';
export { combineLoggers, type RunLogger } from './metrics/logger.js';
export type { DataInspection, DataPart, LengthSummary, ShownPiece, ShownRow } from './metrics/data-inspection.js';
export { createMetricsLogger, readEvals, readMetrics, readSamples } from './metrics/metrics-file.js';
export { createRunRecorder, type RunRecording } from './metrics/record-run.js';
export type * from './metrics/run-records.js';
export type * from './metrics/evaluation.js';
export type { RatePoint, RateSearch } from './metrics/rate-search.js';
export type { TrainingProfile } from './metrics/training-profile.js';
export { createTensorBoardLogger } from './metrics/tensorboard/tensorboard-logger.js';
export { createProgressLogger, type ProgressTerminal } from './progress/progress-logger.js';
export { createReportLogger } from './report/report-logger.js';

// What a run keeps
export * from './store/file-names.js';
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
export {
  parseRunFile,
  prepareRunFolder,
  readRunFile,
  type RowsForm,
  type RunFile,
  type RunFolder,
} from './store/run-folder.js';
export { listCheckpoints, saveCheckpoint, type CheckpointContent, type KeepRule } from './store/save-checkpoint.js';

// Data
export { decodeText } from './data/decode-text.js';
export {
  hubDataset,
  hubDatasetOf,
  mayBeHubDataset,
  type DataChoice,
  type DataFiles,
  type OpenDataFiles,
} from './data/data-files.js';
export { DatasetError, EmptyDatasetError } from './data/errors.js';
export type { FoundRow } from './data/formats/found-row.js';
export { epochOrder, splitRows } from './data/order.js';
export { readJsonl } from './data/read-jsonl.js';
export { rowsOf, type RowParser } from './data/rows-of.js';
export { isRowsFile, readRows } from './data/read-rows.js';
export type { Split } from './data/splits.js';

// The run itself
export {
  exportCheckpoint,
  type ExportCheckpointOptions,
  type ExportedCheckpoint,
} from './run/export/export-checkpoint.js';
export { exportAdapter, type ExportAdapterOptions } from './run/export/export-adapter.js';
export { exportTrl, type ExportTrlOptions, type ExportedTrl } from './run/export/export-trl.js';
export type { ExportForm, WrittenForm } from './run/export/export-form.js';
export { ExportError } from './run/export/export-run.js';
export { isExportedName } from './run/export/exported-names.js';
export { judgeFit, tryFit, type Fit } from './run/prepare/check-fit.js';
export type { MachineMemory } from './run/machine-memory.js';
export type { UsedKernels } from './run/prepare/choose-kernels.js';
export { openData, openEvalData } from './run/prepare/open-data.js';
export { quantisedTypes, quantizeTypes, type QuantisedOptions, type QuantizeType } from './quantise/quantised-types.js';
export { openModel, type OpenModel } from './run/prepare/open-model.js';
export {
  countParameters,
  planModel,
  type HostParam,
  type ModelPlan,
  type StoredTypes,
} from './run/prepare/plan-model.js';
export type { StepPrograms, TrainPlan } from './run/prepare/plan-programs.js';
export type { RunPlan } from './run/prepare/plan-within-budget.js';
export {
  planRelease,
  prepareRun,
  type PlannedRun,
  type PreparedRun,
  type PrepareRunOptions,
} from './run/prepare/prepare-run.js';
export {
  keptOf,
  planEval,
  planMicroStep,
  planStep,
  planTrained,
  planUpdate,
  type ChosenOptimizer,
  type EvalPlan,
  type MicroStepPlan,
  type PlanTrainedOptions,
  type StepModel,
  type StepPlan,
  type StepProgram,
  type Trained,
  type UpdatePlan,
} from './run/prepare/programs.js';
export { findLearningRate, type FindLearningRateOptions } from './run/find-rate/find-learning-rate.js';
export { inspectData, type InspectDataOptions } from './run/inspect/inspect-data.js';
export { profileTraining, type ProfileTrainingOptions } from './run/profile/profile-training.js';
export { HostFeed, type Fed } from './run/train/host-feed.js';
export { createDeviceSink } from './run/device-sink.js';
export { baseWeightsOf, compareBaseWeights, type ReadBase } from './run/base-weights.js';
export { fingerprintWeights } from './run/fingerprint.js';
export { finiteSink } from './run/finite-sink.js';
export { quantisingSink, type QuantisingOptions } from './run/quantising-sink.js';

// What speed to expect
export { estimateRelease, type ReleaseEstimate } from './speed/estimate-release.js';
export { estimateSeconds } from './speed/estimate-seconds.js';
export { measureSpeed, type DeviceSpeed, type ProductSpeed } from './speed/measure-speed.js';
export { RowNorms, rowNormSink } from './run/row-norms.js';
export { runTraining } from './run/train/run-training.js';
export { tuneTraining, type TrainingTuning, type TuneTrainingOptions } from './run/tune/tune-training.js';
