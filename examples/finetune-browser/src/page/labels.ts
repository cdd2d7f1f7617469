/** What the fields of a training config are called on this page. */
const labels: Readonly<Record<string, string>> = {
  gradientCheckpointing: '“Save memory”',
  maxLength: '“Longest row”',
  batchSize: '“Rows a step”',
  gradientAccumulation: 'gradient accumulation',
  'lora.rank': '“Adapter size”',
  steps: '“Steps”',
  'optimizer.learningRate': '“Learning rate”',
  resume: 'Go on',
};

/** A text of the packages with the page's words for the fields that it names in backticks. */
export function inLabels(text: string): string {
  return text.replace(/`([\w.]+)`/g, (whole, field: string) => labels[field] ?? whole);
}

const titles: Readonly<Record<string, string>> = {
  WebGpuUnavailableError: 'This browser has no WebGPU',
  NoAdapterError: 'WebGPU finds no GPU here',
  DeviceLostError: 'The GPU was lost',
  GpuOutOfMemoryError: 'The GPU has no more memory',
  RunTooLargeError: 'This run does not fit',
  DiskFullError: 'The browser’s storage is full',
  StoreAccessError: 'The browser’s storage cannot be used',
  CheckpointCorruptError: 'What was saved of this run is damaged',
  ResumeMismatchError: 'This is not the model that the run was begun with',
  WorkerError: 'The part of this page that trains has stopped',
  RunInUseError: 'This run is in use',
  RunMissingError: 'This run is gone',
  NonFiniteLossError: 'Training went wrong: the loss is no longer a number',
  NonFiniteParameterError: 'Training went wrong: what was learned is no longer numbers',
  DatasetError: 'A row cannot be used',
  EmptyDatasetError: 'There are no rows',
  ConfigError: 'A setting cannot be used',
  UnknownModelError: 'This model is not a Gemma that can be trained here',
  WeightSourceError: 'The model cannot be read',
  WeightFileError: 'A weight file is damaged',
  WeightNamesError: 'The weights are not those of this model',
};

/** The same without sentences that tell of a flag of the command line. */
export function withoutFlags(text: string): string {
  return inLabels(text.replace(/\s*[^.]*--[a-z][\w-]*[^.]*\.(?=\s|$)/g, ''));
}

/** What takes memory, and what is under way, as the packages call it and as this page does; the rest is plain already. */
const plainWords: Readonly<Record<string, string>> = {
  'Weights, as published': 'The model (weights)',
  'Trained parameters': 'The adapter that learns (trained parameters)',
  'Optimiser state': 'Memory of earlier steps (optimiser state)',
  'Activations, gradients and workspace': 'Work of one step (activations, gradients)',
  'Inputs, outputs and constants': 'Rows and results of one step',
  'Samples and checkpoints': 'Answering and saving',
  'Opening model and data': 'Opening model and rows',
  'Loading weights': 'Loading the model',
  Compiling: 'Preparing the GPU',
  'Answering sample rows': 'Answering rows it does not learn from',
};

export function plainWordsFor(name: string): string {
  return plainWords[name] ?? name;
}

export function titleOf(name: string): string {
  return titles[name] ?? 'This did not work';
}
