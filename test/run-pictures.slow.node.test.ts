// A run that goes on sees the pictures that it was begun with: rows name them, and files behind names change.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Gpu, openGpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  DatasetError,
  type FileStore,
  listCheckpoints,
  loadLatestCheckpoint,
  ResumeMismatchError,
  resolveTrainConfig,
  runTraining,
  saveCheckpoint,
  type TrainConfig,
} from '@lapidary/trainer';
import { type JsonValue, paliGemmaWeightLoader, type TensorData } from '@lapidary/weights';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { namedPictures, pictureNamingFiles } from './support/picture-naming.js';

const files = await pictureNamingFiles();
const pictures = await namedPictures();
/** Another picture of the same size, and type. */
const other = pictures[1]!.image;

let gpu: Gpu;
let folder: string;
beforeAll(async () => {
  gpu = await openGpu();
  folder = await mkdtemp(join(tmpdir(), 'lapidary-pictures-'));
});
beforeEach(async () => {
  for (const { file, image } of pictures) await writeFile(join(folder, file), image);
});
afterAll(async () => {
  gpu.destroy();
  await rm(folder, { recursive: true });
});

const fileOf = async (name: string, image: (file: string) => string) => {
  const lines = pictures.map(({ file, completion }) =>
    JSON.stringify({ image: image(file), prompt: 'name', completion }),
  );
  await writeFile(join(folder, name), lines.join('\n'));
  return join(folder, name);
};

async function train(
  store: FileStore,
  source: TrainConfig['data']['source'],
  over: Partial<TrainConfig> = {},
  onStep: () => unknown = () => undefined,
) {
  const notices: string[] = [];
  const config = resolveTrainConfig({
    weightLoader: { description: 'tiny', ...paliGemmaWeightLoader({ from: files }) },
    data: { source },
    evalFraction: 0,
    batchSize: 4,
    steps: 2,
    schedule: { type: 'constant', warmupSteps: 0 },
    maxLength: 16,
    lora: { rank: 2 },
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });
  const summary = await runTraining(config, {
    store,
    gpu,
    logger: { onNotice: (notice) => void notices.push(notice), onStep: async () => void (await onStep()) },
  });
  return { summary, notices };
}

it('a picture on disk that is another now: refused by name, nothing of the run is lost; put back, it goes on', async () => {
  const rows = await fileOf('rows.jsonl', (file) => file);
  const store = createMemoryStore();
  await train(store, rows);
  const before = await store.list();
  await writeFile(join(folder, 'rgb.png'), other);
  const refused = train(store, rows, { resume: true, steps: 4 });
  await expect(refused).rejects.toThrow(ResumeMismatchError);
  await expect(refused).rejects.toThrow(/^ {2}picture rgb\.png \(data, row 1, picture 1\): saved "[0-9a-f]{16}", now/m);
  expect((await store.list()).filter(({ name }) => name.startsWith('checkpoints/'))).toEqual(
    before.filter(({ name }) => name.startsWith('checkpoints/')),
  );
  await writeFile(join(folder, 'rgb.png'), pictures[0]!.image);
  const { summary, notices } = await train(store, rows, { resume: true, steps: 4 });
  expect(summary.steps).toBe(4);
  expect(notices.join('\n')).not.toMatch(/not known/);
  // What the first process learned from is known to the third, too.
  await writeFile(join(folder, 'tiny.png'), other);
  await expect(train(store, rows, { resume: true, steps: 6 })).rejects.toThrow(/picture tiny\.png/);
});

it('a held-out picture is one of the run', async () => {
  const rows = await fileOf('rows.jsonl', (file) => file);
  const held = { source: await fileOf('held.jsonl', (file) => join('.', `./${file}`.replace('rgb', 'held'))) };
  await writeFile(join(folder, 'held.png'), pictures[0]!.image);
  const store = createMemoryStore();
  await train(store, rows, { evalData: held });
  await writeFile(join(folder, 'held.png'), other);
  const refused = train(store, rows, { evalData: held, resume: true, steps: 4 });
  await expect(refused).rejects.toThrow(/picture held\.png \(evalData, row 1, picture 1\)/);
  // The steps before it were of the pictures that the run began with.
  expect((await listCheckpoints(store))[0]).toBeGreaterThan(2);
});

it('a picture behind a URL', async () => {
  let changed = '';
  const server = createServer(async ({ url }, response) => {
    const name = url!.slice(1).split('?')[0]!;
    response.end(name === changed ? other : await readFile(join(folder, name)));
  }).listen(0);
  try {
    const { port } = server.address() as AddressInfo;
    const rows = await fileOf('urls.jsonl', (file) => `http://localhost:${port}/${file}?key=secret`);
    const store = createMemoryStore();
    await train(store, rows);
    changed = 'palette.png';
    const error = await train(store, rows, { resume: true, steps: 4 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ResumeMismatchError);
    expect(String(error)).toContain(`picture http://localhost:${port}/palette.png`);
    expect(String(error)).not.toContain('secret');
  } finally {
    server.close();
  }
});

it('files at hand, as a page has them', async () => {
  const rowsOf = (third: Uint8Array) =>
    pictures.map(({ image, completion }, i) => ({
      image: new Blob([new Uint8Array(i === 2 ? third : image)]),
      prompt: 'name',
      completion,
    }));
  const store = createMemoryStore();
  const third = pictures[2]!.image;
  await train(store, rowsOf(third));
  // As long as before: only the bytes tell.
  const changed = third.with(third.length - 1, third.at(-1)! ^ 1);
  await expect(train(store, rowsOf(changed), { resume: true, steps: 4 })).rejects.toThrow(
    /picture a file at hand \(data, row 3, picture 1\)/,
  );
  expect((await train(store, rowsOf(third), { resume: true, steps: 4 })).summary.steps).toBe(4);
});

it('a run of an earlier version, which kept nothing of its pictures, goes on with a notice', async () => {
  const rows = await fileOf('rows.jsonl', (file) => file);
  const store = createMemoryStore();
  await train(store, rows);
  const [step] = await listCheckpoints(store);
  const found = (await loadLatestCheckpoint(store))!;
  const tensors = new Map<string, TensorData>();
  for (const [name, { dtype, shape, read }] of found.tensors) tensors.set(name, { dtype, shape, bytes: await read() });
  const { pictures: _, ...state } = found.state as Record<string, JsonValue>;
  await saveCheckpoint(store, step!, { tensors, state }, { newest: 9 });
  const { notices } = await train(store, rows, { resume: true, steps: 3 });
  expect(notices.join('\n')).toMatch(/kept nothing of its pictures: .* not known/);
});

it('a picture that changes while the run goes on: it stops, and what was learned before is kept', async () => {
  const rows = await fileOf('rows.jsonl', (file) => file);
  const store = createMemoryStore();
  // Samples show the pictures as they are.
  const stopped = train(store, rows, { steps: 6, sampleEvery: 2, sampleCount: 1, sampleTokens: 1 }, () =>
    writeFile(join(folder, 'rgb.png'), other),
  );
  await expect(stopped).rejects.toThrow(DatasetError);
  await expect(stopped).rejects.toThrow(/rows\.jsonl:1: the picture rgb\.png is another now/);
  expect((await listCheckpoints(store))[0]).toBe(2);
});
