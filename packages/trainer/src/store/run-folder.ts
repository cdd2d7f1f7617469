import { diffConfigs, type ConfigEcho } from '../config/config-echo.js';
import { ResumeMismatchError, RunFolderExistsError } from '../errors/errors.js';
import { metricsFile, samplesFile, summaryFile } from '../metrics/metrics-file.js';
import { reportFile } from '../report/report-logger.js';
import { checkpointFolder } from './checkpoint-manifest.js';
import type { Example } from '../data/tokenise.js';
import { readText, type FileStore, type StoredFile } from './file-store.js';
import { listCheckpoints } from './save-checkpoint.js';

export const runFile = 'run.json';
/** What a run writes; overwriting removes these and nothing else. */
const ownFiles = [
  runFile,
  metricsFile,
  samplesFile,
  summaryFile,
  reportFile,
  'adapter_config.json',
  'adapter_model.safetensors',
];

export interface RunFolder {
  /** False: start from the base model. */
  readonly resumes: boolean;
  /** Things to tell the user. */
  readonly notices: readonly string[];
}

/**
 * Makes the output folder ready, by openpi's rules: empty, absent, or of a run that did no step is a new run; `overwrite` removes what an earlier run wrote
 * (other files stay); `resume` goes on from the checkpoints there, or starts fresh, with a notice, where there are none.
 * @throws RunFolderExistsError when something is there and neither is set.
 * @throws ResumeMismatchError when the saved run had settings that change what is computed.
 */
export async function prepareRunFolder(
  store: FileStore,
  { config, resume, overwrite }: { config: ConfigEcho; resume: boolean; overwrite: boolean },
): Promise<RunFolder> {
  const files = await store.list();
  const entries = files.map(({ name }) => name);
  // What a run leaves that failed before its first step: nothing to lose.
  const isOfStart = ({ name, bytes }: StoredFile) =>
    name === runFile || name === samplesFile || (name === metricsFile && bytes === 0);
  const isUsed = !files.every(isOfStart);
  const notices: string[] = [];
  let resumes = false;
  if (isUsed && !resume && !overwrite) throw new RunFolderExistsError({ location: store.location, entries });
  if (overwrite) {
    for (const name of entries)
      if (ownFiles.includes(name) || name.startsWith(`${checkpointFolder}/`)) await store.remove(name);
  } else if (resume) {
    resumes = (await listCheckpoints(store)).length > 0;
    if (!resumes)
      notices.push(
        `Nothing to resume: there is no checkpoint in ${store.location}. Starting anew, from the base model.`,
      );
    else notices.push(...(await compareWithSaved(store, config, entries)));
  }
  await store.write(runFile, `${JSON.stringify({ format: 'lapidary-run-1', config }, null, 2)}\n`);
  return { resumes, notices };
}

/** How the rows of a run were written: what a prompt must look like to the model that comes out of it. */
export type RowsForm = 'messages' | 'completion' | 'text' | 'mixed';

/** Notes in the run's file, beside the adapter, what its rows were. */
export async function recordRows(store: FileStore, examples: readonly Pick<Example, 'row'>[]): Promise<void> {
  const forms = new Set(
    examples.map(({ row }): RowsForm => ('messages' in row ? 'messages' : 'text' in row ? 'text' : 'completion')),
  );
  const rows: RowsForm = forms.size === 1 ? [...forms][0]! : 'mixed';
  const run = JSON.parse(await readText(store, runFile)) as object;
  await store.write(runFile, `${JSON.stringify({ ...run, rows }, null, 2)}\n`);
}

async function compareWithSaved(
  store: FileStore,
  config: ConfigEcho,
  entries: readonly string[],
): Promise<readonly string[]> {
  if (!entries.includes(runFile))
    return [
      `${runFile} is missing in ${store.location}: whether the settings are those of the saved run is not known.`,
    ];
  const saved = (JSON.parse(await readText(store, runFile)) as { config: ConfigEcho }).config;
  const changes = diffConfigs(saved, config);
  const grave = changes.filter(({ matters }) => matters);
  if (grave.length > 0) throw new ResumeMismatchError({ location: store.location, changes: grave });
  return changes
    .filter(({ path }) => !['resume', 'overwrite', 'outDir'].includes(path))
    .map(
      ({ path, saved: before, now }) =>
        `${path} was ${JSON.stringify(before) ?? 'nothing'} and is now ${JSON.stringify(now) ?? 'nothing'}.`,
    );
}
