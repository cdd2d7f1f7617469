import { expect, test } from 'vitest';
import { ResumeMismatchError, RunFileError, RunFolderExistsError } from '../errors/errors.js';
import { readText, type FileStore } from './file-store.js';
import { createMemoryStore } from './memory-store.js';
import { prepareRunFolder as lookAt } from './run-folder.js';
import { saveCheckpoint } from './save-checkpoint.js';

const config = { seed: 42, batchSize: 4, saveEvery: 10, steps: 5 };
/** Looks at a folder, and begins the run in it. */
async function prepareRunFolder(...given: Parameters<typeof lookAt>) {
  const { begin, moved: _, ...found } = await lookAt(...given);
  await begin([]);
  return found;
}
const neither = { config, resume: false, overwrite: false };

test('an empty folder is a new run, also with resume, which says so', async () => {
  const store = createMemoryStore();
  expect(await prepareRunFolder(store, neither)).toEqual({ resumes: false, notices: [] });
  const fresh = await prepareRunFolder(createMemoryStore(), { ...neither, resume: true });
  expect(fresh).toEqual({
    resumes: false,
    notices: ['Nothing to resume: there is no checkpoint in memory:. Starting anew, from the base model.'],
  });
});

test('a folder that is not empty needs one of the two flags, and the error tells both', async () => {
  const store = createMemoryStore();
  await store.write('thesis.docx', 'years of work');
  const error = await prepareRunFolder(store, neither).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RunFolderExistsError);
  expect((error as RunFolderExistsError).hint).toMatch(/--resume.*--overwrite/);
  expect((error as Error).message).toContain('thesis.docx');
});

test('a run that failed before its first step is not in the way of the next', async () => {
  const store = createMemoryStore();
  await prepareRunFolder(store, neither);
  await store.write('metrics.jsonl', '');
  expect(await prepareRunFolder(store, { ...neither, config: { ...config, seed: 1 } })).toMatchObject({
    resumes: false,
  });
  await store.write('metrics.jsonl', '{"step":1}\n');
  await expect(prepareRunFolder(store, neither)).rejects.toThrow(RunFolderExistsError);
});

test('overwrite removes what a run wrote and nothing else', async () => {
  const store = createMemoryStore();
  await prepareRunFolder(store, neither);
  await saveCheckpoint(store, 3, { tensors: new Map(), state: null });
  const own = ['start.json', 'evals.jsonl', 'tensorboard/events.out.tfevents.1.lapidary'];
  for (const name of ['thesis.docx', 'metrics.jsonl', 'adapter_model.safetensors', ...own])
    await store.write(name, 'x');
  expect(await prepareRunFolder(store, { ...neither, overwrite: true })).toMatchObject({ resumes: false });
  expect((await store.list()).map(({ name }) => name)).toEqual(['run.json', 'thesis.docx']);
});

test('overwrite removes the files of an export that the summary names', async () => {
  const store = createMemoryStore();
  await prepareRunFolder(store, neither);
  for (const name of ['config.json', 'model.safetensors', 'mine.json']) await store.write(name, 'x');
  await store.write('summary.json', JSON.stringify({ exported: ['config.json', 'model.safetensors', 'gone.json'] }));
  await prepareRunFolder(store, { ...neither, overwrite: true });
  expect((await store.list()).map(({ name }) => name)).toEqual(['mine.json', 'run.json']);
  // One that is damaged names nothing.
  await store.write('summary.json', '{');
  await prepareRunFolder(store, { ...neither, overwrite: true });
  expect((await store.list()).map(({ name }) => name)).toEqual(['mine.json', 'run.json']);
});

test('resume takes changes that do not matter and refuses those that do', async () => {
  const store = createMemoryStore();
  await prepareRunFolder(store, neither);
  await saveCheckpoint(store, 3, { tensors: new Map(), state: null });
  const resumed = await prepareRunFolder(store, {
    config: { ...config, saveEvery: 5 },
    resume: true,
    overwrite: false,
  });
  expect(resumed).toEqual({ resumes: true, notices: ['saveEvery was 10 and is now 5.'] });
  const refused = await prepareRunFolder(store, {
    config: { ...config, seed: 1, batchSize: 8 },
    resume: true,
    overwrite: false,
  }).catch((e: unknown) => e);
  expect(refused).toBeInstanceOf(ResumeMismatchError);
  expect((refused as Error).message).toMatch(/batchSize: saved 4, now 8\n\s+seed: saved 42, now 1/);
  // A refused run has not written over what was saved.
  expect(await prepareRunFolder(store, { config, resume: true, overwrite: false })).toMatchObject({ resumes: true });
});

test('until a run begins, nothing in its folder is changed', async () => {
  const store = createMemoryStore();
  await prepareRunFolder(store, neither);
  await saveCheckpoint(store, 3, { tensors: new Map(), state: null });
  await store.write('metrics.jsonl', '{');
  const before = await contentOf(store);
  const resumed = await lookAt(store, { config: { ...config, saveEvery: 5 }, resume: true, overwrite: false });
  const other = await lookAt(store, { config: { seed: 7 }, resume: false, overwrite: true });
  expect(await contentOf(store)).toEqual(before);
  await resumed.begin([]);
  expect(await readText(store, 'run.json')).toContain('"saveEvery": 5');
  await other.begin([]);
  expect(Object.keys(await contentOf(store))).toEqual(['run.json']);
});

const contentOf = async (store: FileStore) =>
  Object.fromEntries(
    await Promise.all((await store.list()).map(async ({ name }) => [name, await readText(store, name)] as const)),
  );

test.each([
  ['weightLoader', { weightLoader: '/old/model' }, { weightLoader: '/new/model' }],
  ['weightLoader.folder', { weightLoader: { folder: 'a' } }, { weightLoader: { folder: 'b' } }],
  ['data.source', { data: { source: 'rows.jsonl' } }, { data: { source: '/moved/rows.jsonl' } }],
  ['evalData.source', { evalData: { source: 'held.jsonl' } }, { evalData: { source: './held.jsonl' } }],
])(
  '%s may be another place where the run kept what it began with, and must not where it did not',
  async (path, from, to) => {
    for (const [state, isCompared] of [
      [{ identity: {} }, true],
      [{}, false],
      [null, false],
    ] as const) {
      const store = createMemoryStore();
      await prepareRunFolder(store, { ...neither, config: { ...config, ...from } });
      await saveCheckpoint(store, 3, { tensors: new Map(), state });
      const resumed = lookAt(store, { config: { ...config, ...to }, resume: true, overwrite: false });
      if (isCompared) {
        expect((await resumed).notices.join()).toMatch(new RegExp(`^${path} was .* and is now`));
        expect((await resumed).moved.map((change) => change.path)).toEqual(path.startsWith('weight') ? [] : [path]);
      }
      if (!isCompared) await expect(resumed).rejects.toThrow(ResumeMismatchError);
    }
  },
);

test('what the rows were is noted beside the config, which stays as it is', async () => {
  const store = createMemoryStore();
  await prepareRunFolder(store, neither);
  const rows = {
    completion: { row: { prompt: 'a', completion: 'b', line: 1 } },
    messages: { row: { messages: [{ role: 'user' as const, content: 'a' }], line: 2 } },
    text: { row: { text: 'a', line: 3 } },
  };
  const noted = async (...names: (keyof typeof rows)[]) => {
    await (await lookAt(store, neither)).begin(names.map((name) => rows[name]));
    return JSON.parse(await readText(store, 'run.json')) as unknown;
  };
  for (const name of ['completion', 'messages', 'text'] as const)
    expect(await noted(name, name)).toEqual({ format: 'lapidary-run-1', config, rows: name });
  expect(await noted('completion', 'messages')).toMatchObject({ rows: 'mixed' });
});

const tooDeep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

test.each([
  ['', /no JSON: cut short/],
  ['{"format":"lapidary-run-1","conf', /no JSON: cut short/],
  ['null', /the file: /],
  ['[]', /format: /],
  ['{"format":"lapidary-run-2","config":{}}', /format: /],
  ['{"format":"lapidary-run-1"}', /config: /],
  ['{"format":"lapidary-run-1","config":3}', /config: /],
  ['{"format":"lapidary-run-1","config":{},"rows":3}', /rows: /],
  [`{"format":"lapidary-run-1","config":{"lora":${tooDeep}}}`, /no JSON/],
  [tooDeep, /no JSON/],
])('a run.json that says nothing of a run is refused (case %#)', async (text, message) => {
  const store = createMemoryStore();
  await prepareRunFolder(store, neither);
  await saveCheckpoint(store, 3, { tensors: new Map(), state: null });
  await store.write('run.json', text);
  const refused = prepareRunFolder(store, { ...neither, resume: true });
  await expect(refused).rejects.toThrow(RunFileError);
  await expect(refused).rejects.toThrow(message);
  expect(await readText(store, 'run.json')).toBe(text);
});

test('a step to go back to must be there; going back, the rate may be another, and nothing else', async () => {
  const store = createMemoryStore();
  const rates = { ...config, optimizer: { type: 'adamw', learningRate: 1, clipGradNorm: 1 } };
  await prepareRunFolder(store, { ...neither, config: rates });
  for (const step of [3, 6]) await saveCheckpoint(store, step, { tensors: new Map(), state: null });
  const back = (resumeFrom: number | null, changed: object) =>
    prepareRunFolder(store, { config: { ...rates, ...changed }, resume: true, resumeFrom, overwrite: false });
  await expect(back(4, {})).rejects.toThrow(/resumeFrom: found 4; allowed: .* steps 3, 6/);
  const lower = { optimizer: { ...rates.optimizer, learningRate: 0.1 } };
  await expect(back(null, lower)).rejects.toThrow(ResumeMismatchError);
  expect((await back(3, lower)).notices).toEqual(['optimizer.learningRate was 1 and is now 0.1.']);
  await expect(back(3, { ...lower, seed: 1 })).rejects.toThrow(/seed: saved 42, now 1/);
  await expect(back(3, { optimizer: { ...lower.optimizer, type: 'lion' } })).rejects.toThrow(/optimizer\.type/);
});

test('addresses of runs of earlier versions are compared without their secrets', async () => {
  const store = createMemoryStore();
  await saveCheckpoint(store, 3, { tensors: new Map(), state: null });
  const source = (query: string) => ({ ...config, weightLoader: `https://a.com/m.gguf?${query}` });
  await store.write('run.json', JSON.stringify({ format: 'lapidary-run-1', config: source('sig=SECRET') }));
  const now = { config: source('…'), resume: true, overwrite: false };
  expect(await prepareRunFolder(store, now)).toMatchObject({ resumes: true, notices: [] });
});
