import {
  listCheckpoints,
  loadLatestCheckpoint,
  openOpfsStore,
  readMetrics,
  readSamples,
  readText,
  runFile,
  summaryFile,
  type FileStore,
  type LoadedCheckpoint,
  type RowsForm,
  type TrainingSummary,
} from '@lapidary/trainer';
import type { DataChoice, RunRequest, SavedRun } from './protocol.js';
import { nameOfModel, saveModel } from './saved-model.js';

/** All runs of this page; each has a folder with what was asked for, its data, and the trainer's own folder. */
const folder = 'runs';
const requestFile = 'request.json';
const dataFile = 'data.jsonl';
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

export async function readData({ id, dataName }: SavedRun): Promise<DataChoice> {
  const store = await requestStore(id);
  const { pictures } = JSON.parse(await readText(store, requestFile)) as SavedRequest;
  const fileOf = async (path: string, name: string) =>
    new File([(await store.read(path)) as Uint8Array<ArrayBuffer>], name);
  return {
    name: dataName,
    rows: await fileOf(dataFile, dataName),
    pictures: await Promise.all(pictures.map((name, i) => fileOf(`${pictureFolder}/${i}`, name))),
  };
}

/** The runs that are kept, the newest first. */
export async function listRuns(): Promise<SavedRun[]> {
  const runs: SavedRun[] = [];
  for (const id of (await folderNames(folder)).sort().reverse()) {
    const run = await readRun(id);
    if (run !== null) runs.push(run);
    // Its tab was closed while it was written down. A younger one may be under way in another tab.
    else if (id < idAt(Date.now() - longestWriting)) await removeRun(id);
  }
  return runs;
}

/** A run by its id; null where there is none, or what it needs to go on was not all written. */
export async function readRun(id: string): Promise<SavedRun | null> {
  const requests = await requestStore(id);
  const read = async <T>(store: FileStore, name: string): Promise<T | null> =>
    readText(store, name).then(
      (text) => JSON.parse(text) as T,
      () => null,
    );
  const saved = await read<SavedRequest>(requests, requestFile);
  if (saved === null) return null;
  const store = await runStore(id);
  const summary = await read<TrainingSummary>(store, summaryFile);
  const savedStep = (await listCheckpoints(store))[0] ?? 0;
  const steps = (await readMetrics(store)).filter(({ step }) => step <= savedStep);
  const samples = (await readSamples(store)).filter(({ step }) => step <= savedStep);
  const checkpoint = await loadLatestCheckpoint(store).catch((): LoadedCheckpoint | null => null);
  const base = (checkpoint?.state as { baseEvalLoss?: number | null } | undefined)?.baseEvalLoss ?? null;
  const evals = [{ step: 0, evalLoss: base }, ...steps].flatMap(({ step, evalLoss }) =>
    evalLoss === null ? [] : [{ step, loss: evalLoss, rows: 0, seconds: 0 }],
  );
  const rows = (await read<{ rows?: RowsForm }>(store, runFile))?.rows ?? null;
  return { ...saved, savedStep, isFinished: summary !== null, rowsForm: rows, steps, evals, samples, summary };
}

/** Takes a run and everything that belongs to it away. */
export async function removeRun(id: string): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const runs = await root.getDirectoryHandle(folder, { create: true });
  await runs.removeEntry(id, { recursive: true }).catch((error: DOMException) => {
    if (error.name !== 'NotFoundError') throw error;
  });
}

async function folderNames(path: string): Promise<string[]> {
  const root = await navigator.storage.getDirectory();
  const directory = await root.getDirectoryHandle(path, { create: true });
  const names: string[] = [];
  for await (const [name, handle] of directory.entries()) if (handle.kind === 'directory') names.push(name);
  return names;
}
