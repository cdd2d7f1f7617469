import type { AdapterLoader, WeightLoader } from '@lapidary/weights';
import { runFile } from '../../store/file-names.js';
import type { FileStore } from '../../store/file-store.js';
import { checkFree, type ExportForm, writeForm } from './export-form.js';
import { exportResult } from './export-run.js';
import { exportSourceOf } from './export-source.js';
import { openCheckpoint } from './open-checkpoint.js';

/** Which checkpoint becomes what, and where. */
export interface ExportCheckpointOptions {
  /** The run's folder. */
  readonly run: FileStore;
  /** Where the files go; may be the run's folder. */
  readonly out: FileStore;
  /** Of the checkpoint; `best`: the one with the lowest evaluation loss. Default: the newest. */
  readonly step?: number | 'best' | undefined;
  /** Default: what the run would have ended with, an adapter in PEFT's form or, of a run without LoRA, the model. */
  readonly form?: ExportForm | undefined;
  /** Opens the base by what the run's file says of it: a path or a hub id; undefined where it says nothing that can be opened. */
  readonly openBase: (description: string | undefined) => WeightLoader;
  /** Opens the adapter that the run went on from, where it did. Default: as a config's `adapter`. */
  readonly openAdapter?: ((description: string | undefined) => AdapterLoader) | undefined;
}

/** What was exported. */
export interface ExportedCheckpoint {
  readonly step: number;
  /** Names of the files written. */
  readonly files: readonly string[];
  readonly notices: readonly string[];
}

/**
 * A checkpoint as what its run would have ended with there, or in another form. Without a device.
 * @throws RunFileError, ConfigError, CheckpointCorruptError, ResumeMismatchError for a base that is not the run's, NonFiniteParameterError,
 * ExportError, AdapterError for an adapter that has no such form; what the loader throws
 */
export async function exportCheckpoint({
  run,
  out,
  step,
  form = { to: 'result' },
  openBase,
  openAdapter,
}: ExportCheckpointOptions): Promise<ExportedCheckpoint> {
  await checkFree(out, form);
  const readsBase = form.to === 'merged' || form.to === 'gguf';
  const {
    result,
    step: found,
    notices: told,
    close,
  } = await openCheckpoint({ run, step, openBase, openAdapter, readsBase });
  try {
    const notices = [...told];
    const onNotice = (notice: string) => notices.push(notice);
    if (form.to !== 'result') {
      const source = await exportSourceOf(result);
      return { step: found, files: await writeForm(out, source, form, onNotice), notices };
    }
    const files = await exportResult(out, { ...result, onNotice });
    // What the rows were is asked for by those who prompt an adapter.
    if (out.location !== run.location) await out.write(runFile, await run.read(runFile));
    return { step: found, files, notices };
  } finally {
    await close();
  }
}
