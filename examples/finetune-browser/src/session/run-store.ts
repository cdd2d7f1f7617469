import {
  listCheckpoints,
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
import { loadLatestCheckpoint } from '@lapidary/trainer';
import { nameOfModel, saveModel } from './model-loader.js';
import type { DataChoice, RunRequest, SavedRun } from './protocol.js';

/** All runs of this page; each has a folder with what was asked for, its data, and the trainer's own folder. */
const folder = 'runs';
const requestFile = 'request.json';
const dataFile = 'data.jsonl';
const pictureFolder = 'pictures';
const trainerFolder = 'trainer';

type SavedRequest = Pick<SavedRun, 'id' | 'createdAt' | 'model' | 'modelName' | 'dataName' | 'settings'>;

export const runStore = (id: string): Promise<FileStore> => openOpfsStore(`${folder}/${id}/${trainerFolder}`);
const requestStore = (id: string): Promise<FileStore> => openOpfsStore(`${folder}/${id}`);

/** Writes down what a run needs to go on after the page was closed. @returns its id. */
export async function saveRequest({ model, data, settings }: RunRequest): Promise<string> {
  const createdAt = new Date().toISOString();
  const id = createdAt.replace(/\D/g, '').slice(0, 17);
  const store = await requestStore(id);
  await store.write(dataFile, data.jsonl);
  for (const picture of data.pictures) {
    await store.write(`${pictureFolder}/${picture.name}`, new Uint8Array(await picture.arrayBuffer()));
  }
  const saved: SavedRequest = {
    id,
    createdAt,
    model: saveModel(model),
    modelName: nameOfModel(model),
    dataName: data.name,
    settings,
  };
  // Last: a run is there when this file is.
  await store.write(requestFile, `${JSON.stringify(saved)}\n`);
  return id;
}

export async function readData(run: SavedRun): Promise<DataChoice> {
  const store = await requestStore(run.id);
  const pictures = await store.list(`${pictureFolder}/`);
  return {
    name: run.dataName,
    jsonl: await readText(store, dataFile),
    pictures: await Promise.all(
      pictures.map(
        async ({ name }) =>
          new File([(await store.read(name)) as Uint8Array<ArrayBuffer>], name.slice(pictureFolder.length + 1)),
      ),
    ),
  };
}

/** The runs that are kept, the newest first. */
export async function listRuns(): Promise<SavedRun[]> {
  const ids = await folderNames(folder);
  const runs = await Promise.all(ids.map(readRun));
  return runs.filter((run) => run !== null).sort((a, b) => (a.id < b.id ? 1 : -1));
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
