import { parseJson } from '@lapidary/gemma';
import { withoutSecrets, type JsonValue } from '@lapidary/weights';
import * as v from 'valibot';
import { diffConfigs, isOfRate, type ConfigEcho } from '../config/config-echo.js';
import {
  ConfigError,
  ResumeMismatchError,
  RunFileError,
  RunFolderExistsError,
  type ResumeChange,
} from '../errors/errors.js';
import { rowFormats, type RowFormat } from '../data/data-options.js';
import { checkpointFolder } from './checkpoint-manifest.js';
import {
  eventFilePrefix,
  evalsFile,
  metricsFile,
  reportFile,
  runFile,
  samplesFile,
  startFile,
  summaryFile,
} from './file-names.js';
import { readText, type FileStore, type StoredFile } from './file-store.js';
import { readCheckpointState } from './load-checkpoint.js';
import { listCheckpoints } from './save-checkpoint.js';

const rowsForms = [...rowFormats, 'mixed'] as const;
const jsonSchema: v.GenericSchema<JsonValue> = v.lazy(() =>
  v.union([v.string(), v.number(), v.boolean(), v.null(), v.array(jsonSchema), v.record(v.string(), jsonSchema)]),
);
const runSchema = v.looseObject({
  format: v.literal('lapidary-run-1'),
  config: v.record(v.string(), jsonSchema),
  rows: v.optional(v.picklist(rowsForms)),
  /** What an adapter of the run names as its base, where that was given. */
  baseModel: v.optional(v.string()),
});

/** What `run.json` says. */
export type RunFile = v.InferOutput<typeof runSchema>;

/** What `run.json` of a folder says; null where there is none. @throws RunFileError for one that is cut short or of another kind */
export async function readRunFile(store: FileStore): Promise<RunFile | null> {
  const files = await store.list(runFile);
  if (!files.some(({ name }) => name === runFile)) return null;
  return parseRunFile(await readText(store, runFile), store.location);
}

/** The same of its text. @throws RunFileError */
export function parseRunFile(text: string, location: string): RunFile {
  let json: unknown;
  try {
    // Runs of earlier versions wrote URLs as they were given.
    json = parseJson(withoutSecrets(text));
  } catch (cause) {
    throw new RunFileError({ location, reason: 'is no JSON: cut short?' }, { cause });
  }
  const parsed = v.safeParse(runSchema, json);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new RunFileError({ location, reason: `${v.getDotPath(issue) ?? 'the file'}: ${issue.message}` });
}

/** What a run writes; overwriting removes these, what its summary says was exported, and nothing else. */
const ownFiles = [
  runFile,
  startFile,
  metricsFile,
  evalsFile,
  samplesFile,
  summaryFile,
  reportFile,
  'adapter_config.json',
  'adapter_model.safetensors',
];

/** What was found in an output folder. */
export interface RunFolder {
  /** False: start from the base model. */
  readonly resumes: boolean;
  /** Things to tell the user. */
  readonly notices: readonly string[];
  /** Files of rows that are named by another path than before: what they hold is compared, but not the pictures that lie beside them. */
  readonly moved: readonly ResumeChange[];
  /**
   * Writes down what the run is, and what form its rows have; what it overwrites goes. Call it when nothing of its model and data is
   * refused any more: until then nothing in the folder is changed.
   */
  begin(examples: readonly Begun[]): Promise<void>;
}

/**
 * Looks at the output folder, by openpi's rules: empty, absent, or of a run that did no step is a new run; `overwrite` removes what an earlier run wrote
 * (other files stay); `resume` goes on from the checkpoints there, or starts fresh, with a notice, where there are none.
 * @throws RunFolderExistsError when something is there and neither is set.
 * @throws ResumeMismatchError when the saved run had settings that change what is computed; a run that goes back to the checkpoint of step
 * `resumeFrom` may have another learning rate. ConfigError where there is no checkpoint of that step.
 */
export async function prepareRunFolder(
  store: FileStore,
  {
    config,
    resume,
    resumeFrom = null,
    overwrite,
    baseModel,
  }: {
    config: ConfigEcho;
    resume: boolean;
    resumeFrom?: number | null;
    overwrite: boolean;
    baseModel?: string | undefined;
  },
): Promise<RunFolder> {
  const files = await store.list();
  const entries = files.map(({ name }) => name);
  // What a run leaves that failed before its first step: nothing to lose.
  const isOfStart = ({ name, bytes }: StoredFile) =>
    [runFile, startFile, evalsFile, samplesFile].includes(name) ||
    name.startsWith(eventFilePrefix) ||
    (name === metricsFile && bytes === 0);
  const isUsed = !files.every(isOfStart);
  const notices: string[] = [];
  let resumes = false;
  let moved: readonly ResumeChange[] = [];
  if (isUsed && !resume && !overwrite) throw new RunFolderExistsError({ location: store.location, entries });
  if (resume && !overwrite) {
    const steps = await listCheckpoints(store);
    if (resumeFrom !== null && !steps.includes(resumeFrom)) throw noSuchStep(resumeFrom, steps, store.location);
    resumes = steps.length > 0;
    if (!resumes)
      notices.push(
        `Nothing to resume: there is no checkpoint in ${store.location}. Starting anew, from the base model.`,
      );
    else {
      const changes = await compareWithSaved(store, config, entries, resumeFrom);
      notices.push(...changes.notices);
      moved = changes.moved;
    }
  }
  const about = { format: 'lapidary-run-1', config, baseModel: baseModel && withoutSecrets(baseModel) };
  const begin = async (examples: readonly Begun[]) => {
    if (overwrite) await removeRun(store, entries);
    await store.write(runFile, `${JSON.stringify({ ...about, rows: formOf(examples) }, null, 2)}\n`);
  };
  return { resumes, notices, moved, begin };
}

/** Removes what an earlier run wrote. */
async function removeRun(store: FileStore, entries: readonly string[]): Promise<void> {
  const exported = await exportedFiles(store, entries);
  for (const name of entries)
    if (
      ownFiles.includes(name) ||
      exported.includes(name) ||
      name.startsWith(`${checkpointFolder}/`) ||
      name.startsWith(eventFilePrefix)
    )
      await store.remove(name);
}

function noSuchStep(found: number, steps: readonly number[], location: string): ConfigError {
  const there = steps.length === 0 ? 'there is none' : `there are those of steps ${[...steps].reverse().join(', ')}`;
  const allowed = `the step of a checkpoint in ${location}; ${there}`;
  return new ConfigError({ problems: [{ path: 'resumeFrom', found: String(found), allowed }] });
}

/** How the rows of a run were written: what a prompt must look like to the model that comes out of it. */
export type RowsForm = (typeof rowsForms)[number];

/** A row that a run learns from, or what is known of it. */
type Begun = { readonly row: object; readonly stored?: { readonly form: RowFormat } };

/** Undefined for rows of another form. */
function formOf(examples: readonly Begun[]): RowsForm | undefined {
  const forms = new Set(examples.map(({ row, stored }) => stored?.form ?? rowsForms.find((form) => form in row)));
  const [only] = forms;
  return forms.size === 1 ? only : 'mixed';
}

/** Whether a setting says only where something is. */
const isPlace = (path: string) => /^(weightLoader|adapter|(data|evalData)\.source)(\.|$)/.test(path);

/** Whether a run's checkpoint says what data and weights it began with. */
async function keepsIdentity(store: FileStore, resumeFrom: number | null): Promise<boolean> {
  const found = await readCheckpointState(store, { atMost: resumeFrom ?? undefined });
  return typeof found?.state === 'object' && found.state !== null && 'identity' in found.state;
}

async function compareWithSaved(
  store: FileStore,
  config: ConfigEcho,
  entries: readonly string[],
  resumeFrom: number | null,
): Promise<Pick<RunFolder, 'notices' | 'moved'>> {
  if (!entries.includes(runFile)) {
    const notice = `${runFile} is missing in ${store.location}: whether the settings are those of the saved run is not known.`;
    return { notices: [notice], moved: [] };
  }
  const saved = parseRunFile(await readText(store, runFile), store.location);
  // What is at these places is compared itself, where the run kept what it began with.
  const isCompared = await keepsIdentity(store, resumeFrom);
  const isMoved = ({ path, saved: before, now }: ResumeChange) => isPlace(path) && before !== null && now !== null;
  const changes = diffConfigs(saved.config, config).map((change) =>
    isCompared && isMoved(change) ? { ...change, matters: false } : change,
  );
  const grave = changes.filter((change) => change.matters && !(resumeFrom !== null && isOfRate(change)));
  if (grave.length > 0) throw new ResumeMismatchError({ location: store.location, changes: grave });
  const notices = changes
    .filter(({ path }) => !['resume', 'resumeFrom', 'overwrite', 'outDir'].includes(path))
    .map(
      ({ path, saved: before, now }) =>
        `${path} was ${JSON.stringify(before) ?? 'nothing'} and is now ${JSON.stringify(now) ?? 'nothing'}.`,
    );
  return { notices, moved: changes.filter(({ path }) => /^(data|evalData)\.source/.test(path)) };
}

/** The files of an earlier run's export: a model that was trained whole has more than an adapter. */
async function exportedFiles(store: FileStore, entries: readonly string[]): Promise<readonly string[]> {
  if (!entries.includes(summaryFile)) return [];
  try {
    const { exported } = v.parse(
      v.object({ exported: v.array(v.string()) }),
      parseJson(await readText(store, summaryFile)),
    );
    return exported;
  } catch {
    // A summary that cannot be read names nothing.
    return [];
  }
}
