import {
  openOpfsStore,
  readCheckpointState,
  readEvals,
  readMetrics,
  readSamples,
  readText,
  runFile,
  summaryFile,
  type FileStore,
  type RowsForm,
  type TrainingSummary,
} from '@lapidary/trainer';
import type { DataChoice, RunRecords, RunRequest, SavedRun } from './protocol.js';
import { nameOfModel, saveModel } from './saved-model.js';

/** All runs of this page; each has a folder with what was asked for, its data, and the trainer's own folder. */
const folder = 'runs';
const requestFile = 'request.json';
const dataFile = 'data';
const pictureFolder = 'pictures';
const trainerFolder = 'trainer';

const chunkBytes = 4 * 2 ** 20;
/** ms */
const longestWriting = 24 * 3600 * 1000;

/** Ids sort by time. */
const idAt = (ms: number) => new Date(ms).toISOString().replace(/\D/g, '').slice(0, 17);

type SavedRequest = Pick<
  SavedRun,
  'id' | 'createdAt' | 'model' | 'modelName' | 'dataName' | 'settings' | 'seesPictures'
> & {
  /** Names of the pictures, which are kept by their number: not every name is one in a store. */
  readonly pictures: readonly string[];
};

export const runStore = (id: string): Promise<FileStore> => openOpfsStore(`${folder}/${id}/${trainerFolder}`);
const requestStore = (id: string): Promise<FileStore> => openOpfsStore(`${folder}/${id}`);

/** Writes down what a run needs to go on after the page was closed. @returns its id. */
export async function saveRequest({ model, data, settings, seesPictures }: RunRequest): Promise<string> {
  const now = Date.now();
  const createdAt = new Date(now).toISOString();
  const id = idAt(now);
  const store = await requestStore(id);
  const saved: SavedRequest = {
    id,
    createdAt,
    model: saveModel(model),
    modelName: nameOfModel(model),
    dataName: data.name,
    settings,
    seesPictures,
    pictures: data.pictures.map(({ name }) => name),
  };
  try {
    await store.write(dataFile, chunksOf(data.rows));
    for (const [i, picture] of data.pictures.entries()) await store.write(`${pictureFolder}/${i}`, chunksOf(picture));
    // Last: a run is there when this file is.
    await store.write(requestFile, `${JSON.stringify(saved)}\n`);
  } catch (error) {
    await removeRun(id).catch(() => undefined);
    throw error;
  }
  return id;
}

async function* chunksOf(blob: Blob): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < blob.size; at += chunkBytes)
    yield new Uint8Array(await blob.slice(at, at + chunkBytes).arrayBuffer());
}

const jsonOf = async <T>(store: FileStore, name: string): Promise<T | null> =>
  readText(store, name).then(
    (text) => JSON.parse(text) as T,
    () => null,
  );

/** Rows and pictures as files of the private file system: they are read when they are needed. */
export async function readData(id: string): Promise<DataChoice> {
  const { pictures, dataName } = JSON.parse(await readText(await requestStore(id), requestFile)) as SavedRequest;
  const folderOfRun = await (await runsFolder()).getDirectoryHandle(id);
  const rows = await (await folderOfRun.getFileHandle(dataFile)).getFile();
  if (pictures.length === 0) return { name: dataName, rows, pictures: [] };
  const folderOfPictures = await folderOfRun.getDirectoryHandle(pictureFolder);
  const fileOf = async (name: string, i: number) =>
    new File([await (await folderOfPictures.getFileHandle(String(i))).getFile()], name);
  return { name: dataName, rows, pictures: await Promise.all(pictures.map(fileOf)) };
}

/** The runs that are kept, the newest first. */
export async function listRuns(): Promise<SavedRun[]> {
  const ids: string[] = [];
  for await (const [name, handle] of (await runsFolder()).entries()) if (handle.kind === 'directory') ids.push(name);
  const runs: SavedRun[] = [];
  for (const id of ids.sort().reverse()) {
    const run = await readRun(id);
    if (run !== null) runs.push(run);
    // Its tab was closed while it was written down. A younger one may be under way in another tab.
    else if (id < idAt(Date.now() - longestWriting)) await removeRun(id).catch(() => undefined);
  }
  return runs;
}

/** A run by its id; null where there is none, or what it needs to go on was not all written. */
export async function readRun(id: string): Promise<SavedRun | null> {
  const isThere = await (await runsFolder()).getDirectoryHandle(id).then(
    () => true,
    () => false,
  );
  const saved = isThere ? await jsonOf<SavedRequest>(await requestStore(id), requestFile) : null;
  if (saved === null) return null;
  const store = await runStore(id);
  return {
    ...saved,
    savedStep: (await readCheckpointState(store))?.step ?? 0,
    isFinished: (await jsonOf(store, summaryFile)) !== null,
  };
}

/** What a run told so far, up to its last checkpoint. */
export async function readRecords(id: string): Promise<RunRecords> {
  const store = await runStore(id);
  const savedStep = (await readCheckpointState(store))?.step ?? 0;
  const isSaved = ({ step }: { readonly step: number }) => step <= savedStep;
  return {
    steps: (await readMetrics(store)).filter(isSaved),
    evals: (await readEvals(store)).filter(isSaved),
    samples: (await readSamples(store)).filter(isSaved),
    summary: await jsonOf<TrainingSummary>(store, summaryFile),
    rowsForm: (await jsonOf<{ rows?: RowsForm }>(store, runFile))?.rows ?? null,
  };
}

/** Whether a run has begun: then it is one to go on with. */
export async function hasFiles(store: FileStore): Promise<boolean> {
  return (await store.list()).length > 0;
}

/** Takes a run and everything that belongs to it away. */
export async function removeRun(id: string): Promise<void> {
  await (await runsFolder()).removeEntry(id, { recursive: true }).catch((error: DOMException) => {
    if (error.name !== 'NotFoundError') throw error;
  });
}

async function runsFolder(): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(folder, { create: true });
}
