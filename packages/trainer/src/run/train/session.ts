import type { Gpu } from '@lapidary/gpu';
import { withoutSecrets, type WeightLoader } from '@lapidary/weights';
import type { RunLogger } from '../../metrics/logger.js';
import type { AdapterInfo } from '../../metrics/run-records.js';
import type { FileStore } from '../../store/file-store.js';
import type { RunFolder } from '../../store/run-folder.js';
import type { PreparedRun } from '../prepare/prepare-run.js';

/** A run under way: what its parts share. */
export interface Session {
  readonly gpu: Gpu;
  readonly prepared: PreparedRun;
  readonly store: FileStore;
  readonly folder: Pick<RunFolder, 'resumes' | 'moved' | 'begin'>;
  readonly logger: Required<RunLogger>;
  readonly signal?: AbortSignal;
  /** `performance.now()` when the run began. */
  readonly began: number;
  readonly startedAt: string;
  /** Bytes on the device that are not the run's. */
  readonly foreignBytes: number;
}

/** Which device a run is on. */
export function adapterOf({ profile }: Pick<Gpu, 'profile'>): AdapterInfo {
  const { vendor, architecture, backend, device, description } = profile.adapter;
  return { vendor, architecture, backend, device, description };
}

/** Takes the samples of a step, if the run takes any. */
export async function takeSamples({ gpu, prepared, logger, signal }: Session, step: number): Promise<void> {
  await prepared.plan.samples?.take(gpu, step, { logger, ...(signal && { signal }) });
}

/** What a model is called where people read it: as its loader describes it. */
export function nameOfModel({ description, name }: WeightLoader): string {
  if (typeof description === 'string') return withoutSecrets(description);
  return withoutSecrets(name ?? (description === undefined ? '' : JSON.stringify(description)));
}
