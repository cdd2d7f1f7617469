import { formatBytes } from '../format/format.js';

/** One field of a config that cannot be used. */
export interface ConfigProblem {
  /** Where in the config, joined with '.': `lora.rank`. Empty for the config itself. */
  readonly path: string;
  /** The value found, as short text. */
  readonly found: string;
  /** What is allowed there. */
  readonly allowed: string;
}

/** A training config with one or more unusable fields: all of them are listed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];
  constructor({ problems, subject = 'The training config' }: { problems: readonly ConfigProblem[]; subject?: string }) {
    const count = problems.length === 1 ? 'one field' : `${problems.length} fields`;
    const lines = problems.map(
      ({ path, found, allowed }) => `  ${path || '(the config)'}: found ${found}; allowed: ${allowed}`,
    );
    super(`${subject} has ${count} that cannot be used:\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

/** The output folder holds something already, and the config says neither to resume nor to overwrite. */
export class RunFolderExistsError extends Error {
  override readonly name = 'RunFolderExistsError';
  readonly location: string;
  readonly entries: readonly string[];
  readonly hint =
    'Pass `resume: true` (--resume) to go on with the run in it, `overwrite: true` (--overwrite) to start again, or name another folder.';
  constructor({ location, entries }: { location: string; entries: readonly string[] }) {
    const shown = entries.slice(0, 4).join(', ') + (entries.length > 4 ? `, … (${entries.length} files)` : '');
    super(`The output folder ${location} is not empty: ${shown}.`);
    this.location = location;
    this.entries = entries;
  }
}

/** Another process, or another run of this one, is at work in the folder. */
export class RunInUseError extends Error {
  override readonly name = 'RunInUseError';
  readonly location: string;
  /** Null where it is not known: in browsers. */
  readonly pid: number | null;
  readonly host: string | null;
  readonly hint: string;
  constructor({
    location,
    pid = null,
    host = null,
    lock,
  }: { location: string; pid?: number | null; host?: string | null; lock?: string }) {
    const whose = pid === null ? 'another process' : `process ${pid}${host === null ? '' : ` on ${host}`}`;
    super(`A run is under way in ${location}: ${whose} is at work there.`);
    this.location = location;
    this.pid = pid;
    this.host = host;
    const byHand = lock === undefined ? '' : ` If you know that it is gone, remove ${lock}.`;
    this.hint = `Wait for it to end, stop it, or train into another folder.${byHand}`;
  }
}

/** What differs between a saved run and the one that is to go on from it. */
export interface ResumeChange {
  /** A field of the config, or `data`, `evalData`, `tokenizer`, `model.…`, `weights`: what a run is begun with. */
  readonly path: string;
  /** Of data, tokenizer and weights a fingerprint. */
  readonly saved: unknown;
  readonly now: unknown;
}

/** `resume` was asked for, but the run in the folder had other settings, data, tokenizer, model or weights: it would not be the same run. */
export class ResumeMismatchError extends Error {
  override readonly name = 'ResumeMismatchError';
  readonly location: string;
  readonly changes: readonly ResumeChange[];
  readonly hint =
    'Give what it began with to resume, or train into another folder (or pass `overwrite`) to use the new ones. A run that goes back to a checkpoint, with `resumeFrom`, may take another learning rate.';
  constructor({ location, changes }: { location: string; changes: readonly ResumeChange[] }) {
    const lines = changes.map(
      ({ path, saved, now }) =>
        `  ${path}: saved ${JSON.stringify(saved) ?? 'nothing'}, now ${JSON.stringify(now) ?? 'nothing'}`,
    );
    super(`The run in ${location} cannot be resumed with what it is given now:\n${lines.join('\n')}`);
    this.location = location;
    this.changes = changes;
  }
}

/** The base has other weights than an adapter was trained over, of the same shapes: the answers would make no sense. */
export class BaseMismatchError extends Error {
  override readonly name = 'BaseMismatchError';
  readonly adapter: string;
  /** Paths of the parameters that differ. */
  readonly tensors: readonly string[];
  readonly hint =
    'Give the model that it was trained over. Where you know that the adapter is of use over this one, say so with `anyBase` (--any-base).';
  constructor({ adapter, tensors }: { adapter: string; tensors: readonly string[] }) {
    const shown = tensors.slice(0, 3).join(', ');
    const others = tensors.length > 3 ? ` and ${tensors.length - 3} more` : '';
    super(
      `The adapter ${adapter} was trained over other weights than this base has. They differ in: ${shown}${others}`,
    );
    this.adapter = adapter;
    this.tensors = tensors;
  }
}

/** A `run.json` that says nothing of a run: cut short, or of another kind. */
export class RunFileError extends Error {
  override readonly name = 'RunFileError';
  readonly location: string;
  readonly reason: string;
  readonly hint = 'Train into another folder, or pass `overwrite` to start again in this one.';
  constructor({ location, reason }: { location: string; reason: string }, options?: ErrorOptions) {
    super(`run.json in ${location} cannot be used: ${reason}.`, options);
    this.location = location;
    this.reason = reason;
  }
}

/** A line of `metrics.jsonl` or `samples.jsonl` that is none of a run's: changed by hand, or damaged. */
export class RunRecordsError extends Error {
  override readonly name = 'RunRecordsError';
  readonly location: string;
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
  readonly reason: string;
  readonly hint = 'Put the line right or take it out: nothing is computed from it.';
  constructor(
    { location, file, line, reason }: { location: string; file: string; line: number; reason: string },
    options?: ErrorOptions,
  ) {
    super(`${file}:${line} in ${location} cannot be used: ${reason}.`, options);
    this.location = location;
    this.file = file;
    this.line = line;
    this.reason = reason;
  }
}

/** The disk (or the browser's quota) has no room for a file. Nothing half-written is left. */
export class DiskFullError extends Error {
  override readonly name = 'DiskFullError';
  readonly path: string;
  /** Bytes of this file that were to be written, as far as known. */
  readonly bytes: number;
  readonly hint = 'Free some space, or write to another disk; what was there before is untouched.';
  constructor({ path, bytes }: { path: string; bytes: number }, options?: ErrorOptions) {
    super(`No space left to write ${path} (${formatBytes(bytes)}).`, options);
    this.path = path;
    this.bytes = bytes;
  }
}

/** A file or folder that cannot be read or written: no permission, a file where a folder should be, a disk that is read-only. */
export class StoreAccessError extends Error {
  override readonly name = 'StoreAccessError';
  readonly path: string;
  /** The system's name for it: `EACCES`, `ENOTDIR`; `ENOTREG` for what is no regular file. */
  readonly code: string;
  readonly hint = 'Name another folder (`outDir`), or change what is there.';
  constructor({ path, code, reason }: { path: string; code: string; reason: string }, options?: ErrorOptions) {
    super(`${path} cannot be used: ${reason} (${code}).`, options);
    this.path = path;
    this.code = code;
  }
}

/** A file that a store was asked for is not there. */
export class StoredFileMissingError extends Error {
  override readonly name = 'StoredFileMissingError';
  readonly path: string;
  constructor({ path }: { path: string }, options?: ErrorOptions) {
    super(`There is no file ${path}.`, options);
    this.path = path;
  }
}

/** A name that is not a relative path inside a store (`..`, absolute, empty, backslashes). */
export class StoreNameError extends Error {
  override readonly name = 'StoreNameError';
  readonly fileName: string;
  constructor({ fileName }: { fileName: string }) {
    super(
      `${JSON.stringify(fileName)} is not a name in a file store: use a relative path with '/', without '.', '..' or empty parts.`,
    );
    this.fileName = fileName;
  }
}

/** Checkpoints are there, but none of them is whole. */
export class CheckpointCorruptError extends Error {
  override readonly name = 'CheckpointCorruptError';
  readonly location: string;
  readonly rejected: readonly { readonly file: string; readonly reason: string }[];
  readonly hint = 'Restore one of these files from a backup, or start again with `overwrite`.';
  constructor({ location, rejected }: { location: string; rejected: CheckpointCorruptError['rejected'] }) {
    super(
      `No checkpoint in ${location} is whole:\n${rejected.map(({ file, reason }) => `  ${file}: ${reason}`).join('\n')}`,
    );
    this.location = location;
    this.rejected = rejected;
  }
}

/** What to do about a run that diverged. `checkpoint`: the step of the newest checkpoint that can be gone on from. */
const adviceOnRate = (checkpoint: number | null): string =>
  `The learning rate is too high for this run: lower it (\`optimizer.learningRate\`), lengthen the warm-up or clip gradients harder, and ${
    checkpoint === null
      ? 'start again: there is no checkpoint from before.'
      : `go on from checkpoint ${checkpoint}, which is from before, with \`resumeFrom\` ${checkpoint}.`
  }`;

/**
 * The loss or a gradient stopped being a finite number; of `during: 'evaluation'` the evaluation after a step, of `'trial'` the step that
 * is tried from the last one, to know that one can be done. Step 0 is the evaluation of the model before its first step. Checkpoints from before are untouched.
 */
export class NonFiniteLossError extends Error {
  override readonly name = 'NonFiniteLossError';
  readonly step: number;
  readonly loss: number;
  /** Null for an evaluation. */
  readonly gradNorm: number | null;
  readonly during: 'step' | 'evaluation' | 'trial';
  /** The parameter in which a value is not finite, where one was found. */
  readonly firstAt: string | null;
  readonly hint: string;
  constructor({
    step,
    loss,
    gradNorm = null,
    during = step === 0 ? 'evaluation' : 'step',
    firstAt = null,
    checkpoint = null,
  }: {
    step: number;
    loss: number;
    gradNorm?: number | null;
    during?: 'step' | 'evaluation' | 'trial';
    firstAt?: string | null;
    checkpoint?: number | null;
  }) {
    const at = step === 0 ? 'Before the first step' : during === 'step' ? `Step ${step}` : `After step ${step}`;
    const what =
      during === 'evaluation'
        ? `the evaluation loss is ${loss}`
        : `the loss is ${loss} and the gradient norm ${gradNorm}${during === 'trial' ? ', so that no step can be done from it' : ''}`;
    super(`${at}: ${what}${firstAt ? `; '${firstAt}' holds values that are not finite` : ''}. Training stopped.`);
    this.step = step;
    this.loss = loss;
    this.gradNorm = gradNorm;
    this.during = during;
    this.firstAt = firstAt;
    // The loss of step 1 is that of the model as it came: nothing has been learned yet.
    const isOfModel = step === 0 || (step === 1 && during === 'step' && !Number.isFinite(loss));
    this.hint = isOfModel
      ? 'Nothing has been learned yet, so the settings are not to blame. The weights hold finite numbers only, but numbers with which the model cannot compute, or not on these rows: check the weights (`lapidary generate` with them), and that the rows are what they should be.'
      : adviceOnRate(checkpoint);
  }
}

/** What a run has learned, or keeps of it, is no longer finite numbers. None of it was written into a file. */
export class NonFiniteParameterError extends Error {
  override readonly name = 'NonFiniteParameterError';
  /** The parameter, or what the optimiser keeps of it: `…/m`. */
  readonly path: string;
  /** Optimizer steps done; null where it is not known. */
  readonly step: number | null;
  readonly hint: string;
  constructor({
    path,
    step = null,
    checkpoint = null,
  }: { path: string; step?: number | null; checkpoint?: number | null }) {
    const when = step === null ? '' : `After step ${step}: `;
    super(`${when}'${path}' holds values that are not finite (NaN or infinity). They are not saved.`);
    this.path = path;
    this.step = step;
    this.hint = adviceOnRate(checkpoint);
  }
}

/** A run that cannot fit the adapter or the machine; nothing has been allocated. */
export class RunTooLargeError extends Error {
  override readonly name = 'RunTooLargeError';
  /** What the run takes, together. */
  readonly bytes: number;
  /** What would make it smaller, the most effective first. */
  readonly advice: readonly string[];
  readonly hint: string;
  constructor({ reason, advice, bytes }: { reason: string; advice: readonly string[]; bytes: number }) {
    super(`The run does not fit: ${reason}.`);
    this.bytes = bytes;
    this.advice = advice;
    this.hint = `What makes it smaller:\n${advice.map((line) => `  - ${line}`).join('\n')}`;
  }
}

/** Training was stopped from outside (Ctrl-C, an AbortSignal) after what had been done was saved. */
export class TrainingInterruptedError extends Error {
  override readonly name = 'TrainingInterruptedError';
  /** Optimizer steps done so far. */
  readonly step: number;
  /** The checkpoint to go on from; null when none had to be written (no step was done). */
  readonly checkpoint: string | null;
  readonly hint: string | null;
  constructor(
    { step, checkpoint, location }: { step: number; checkpoint: string | null; location?: string },
    options?: ErrorOptions,
  ) {
    super(
      checkpoint === null
        ? `Training was stopped before it did a step; there was nothing to save.`
        : `Training was stopped after step ${step}; ${checkpoint} is saved. Go on from it with \`resume\`.`,
      options,
    );
    this.step = step;
    this.checkpoint = checkpoint;
    this.hint =
      checkpoint === null || location === undefined
        ? null
        : `To use what it has learned so far: \`lapidary export ${location} --out <folder>\`.`;
  }
}

/** A schedule with numbers that make no curve. */
export class ScheduleError extends Error {
  override readonly name = 'ScheduleError';
  constructor({ message }: { message: string }) {
    super(message);
  }
}
