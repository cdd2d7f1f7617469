// Where the rows of a run come from: files, folders, data sets of the hub (a server of the test's own), lists.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WeightSourceError } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveTrainConfig } from '../../config/resolve-train-config.js';
import type { TrainConfig } from '../../config/train-config.js';
import { hubDataset } from '../../data/data-files.js';
import { DatasetError } from '../../data/errors.js';
import { completion } from '../../objectives/completion/completion.js';
import { unopenedLoader } from '../../testing/unopened-loader.js';
import { openRows } from './open-data.js';

const fixtures = fileURLToPath(new URL('../../../../../test/fixtures/rows', import.meta.url));
let folder: string;

async function put(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

const rowsOf = (...texts: string[]) => texts.map((text) => `${JSON.stringify({ text })}\n`).join('');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-'));
  await put({
    'parts/train.jsonl': rowsOf('a', 'b', 'c'),
    'parts/valid.jsonl': rowsOf('v'),
    'parts/test.jsonl': rowsOf('t'),
    'shards/train-00000-of-00002.csv': 'text\na\nb\n',
    'shards/train-00001-of-00002.csv': 'text\nc\n',
    'keys.jsonl': '{"question": "q", "answer": "a"}\n',
    'other.jsonl': '{"question": "q"}\n',
    'one.jsonl': rowsOf('a'),
    'one.json': '[{"text": "a"}, {"text": ""}]',
  });
});
afterAll(() => rm(folder, { recursive: true }));

type Given = Pick<TrainConfig, 'data' | 'evalData' | 'evalFraction'>;
async function open(given: Given) {
  const config = resolveTrainConfig({ weightLoader: unopenedLoader(), evalFraction: 0, ...given } as TrainConfig);
  const { train, held, notices } = await openRows(config, completion);
  const textsOf = (rows: readonly object[]) => rows.map((row) => ('text' in row ? row.text : { ...row, line: 0 }));
  return { train: textsOf(train.rows), held: textsOf(held.rows), rows: train.rows, file: train.file, notices };
}
const from = (name: string, more: object = {}) => ({ source: join(folder, name), ...more });

describe('a folder', () => {
  it('train is learned from, valid evaluated on, and that is told', async () => {
    const { train, held, notices } = await open({ data: from('parts') });
    expect([train, held]).toEqual([['a', 'b', 'c'], ['v']]);
    expect(notices).toEqual([`${join(folder, 'parts')}: learns from train, evaluated on valid; not used: test.`]);
  });

  it('unless told otherwise', async () => {
    expect(await open({ data: from('parts', { split: 'test' }) })).toMatchObject({ train: ['t'], held: [] });
    const named = await open({ data: from('parts'), evalData: from('parts', { split: 'test' }) });
    expect(named).toMatchObject({ train: ['a', 'b', 'c'], held: ['t'] });
    const beside = await open({ data: from('parts', { split: 'test' }), evalData: from('one.jsonl') });
    expect(beside).toMatchObject({ train: ['t'], held: ['a'] });
    const held = await open({ data: from('parts', { split: 'train' }), evalFraction: 0.34 });
    expect([held.train.length, held.held.length]).toEqual([2, 1]);
    expect(
      await open({
        data: from('keys.jsonl', { promptKey: 'question', completionKey: 'answer' }),
        evalData: from('parts', { promptKey: 'text', completionKey: 'text' }),
      }).catch((error: Error) => error.message),
    ).toMatch(/valid\.jsonl:1: this row has no 'text'/);
  });

  it('rows of several files know theirs', async () => {
    const { train, rows } = await open({ data: from('shards') });
    expect(train).toEqual(['a', 'b', 'c']);
    expect(rows.map(({ line, file }) => [file, line])).toEqual(
      [
        ['0', 2],
        ['0', 3],
        ['1', 2],
      ].map(([i, line]) => [join(folder, 'shards', `train-0000${i}-of-00002.csv`), line]),
    );
  });

  it('of datasets.save_to_disk', async () => {
    const { train, held } = await open({ data: { source: join(fixtures, 'saved') } });
    expect([train.length, held.length]).toEqual([4, 1]);
    expect(train[0]).toMatchObject({ messages: [{ role: 'user', content: 'What is 0+1?' }, { weight: 0 }, {}, {}] });
  });
});

describe('keys', () => {
  it('rows may call prompt and completion as they like, those to evaluate on as the others', async () => {
    const data = from('keys.jsonl', { promptKey: 'question', completionKey: 'answer' });
    const expected = [{ prompt: 'q', completion: 'a', line: 0 }];
    expect(await open({ data, evalData: from('keys.jsonl') })).toMatchObject({ train: expected, held: expected });
  });

  it.each<[string, object, RegExp]>([
    [
      'keys.jsonl',
      {},
      /keys\.jsonl:1: .*has: question, answer\. if 'question' is the prompt.*`data\.promptKey` to 'question'/,
    ],
    [
      'other.jsonl',
      { promptKey: 'question', completionKey: 'answer' },
      /other\.jsonl:1: this row has no 'answer', which `data\.completionKey` names; it has: question/,
    ],
    ['other.jsonl', { promptKey: 'question' }, /other\.jsonl:1: field 'completion'/],
    ['one.json', {}, /one\.json:2: field 'text': must not be empty/],
    ['one.json', { split: 'train' }, /one\.json: `data\.split` is 'train', but this is one file/],
    ['parts', { config: 'main' }, /parts: `data\.config` is 'main', which only data sets of the hub have/],
    ['none.jsonl', {}, /none\.jsonl: there is no such file or folder/],
  ])('%s %j', async (name, more, message) => {
    await expect(open({ data: from(name, more) })).rejects.toThrow(message);
    await expect(open({ data: from(name, more) })).rejects.toBeInstanceOf(DatasetError);
  });
});

describe('a data set of the hub', () => {
  const commit = 'c'.repeat(40);
  const parquet = 'pairs-zstd.parquet';
  /** Files of repositories by revision. */
  const repositories: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'owner/pairs@refs/convert/parquet': {
      'default/train/0000.parquet': parquet,
      'default/train/0001.parquet': 'pairs-v2.parquet',
      'default/validation/0000.parquet': 'pairs-gzip.parquet',
    },
    'owner/pairs@main': { 'README.md': 'pairs.csv', 'train.csv': 'pairs.csv', 'test.csv': 'pairs.csv' },
    'owner/several@refs/convert/parquet': {
      'de/train/0000.parquet': parquet,
      'en/partial-train/0000.parquet': parquet,
    },
    'owner/plain@main': { 'data/train.jsonl': 'chats.jsonl' },
  };
  let server: ReturnType<typeof createServer>;
  let options: { endpoint: string; cacheDir: string; token: string; retries: number };
  let requests: string[];

  beforeAll(async () => {
    server = createServer((request, response) => {
      const { method, url = '', headers } = request;
      requests.push(`${method} ${url}`);
      if (headers.authorization !== 'Bearer secret' || url.includes('/gated'))
        return void response.writeHead(401).end();
      const [, listed, listedAt] = /^\/api\/datasets\/([^/]+\/[^/]+)\/revision\/([^?]+)/.exec(url) ?? [];
      const [, id, at, file] = /^\/datasets\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url) ?? [];
      const repository = repositories[`${listed ?? id}@${decodeURIComponent(listedAt ?? at ?? '')}`];
      if (repository === undefined) return void response.writeHead(404).end();
      if (listed !== undefined)
        return void response.end(
          JSON.stringify({ sha: commit, siblings: Object.keys(repository).map((rfilename) => ({ rfilename })) }),
        );
      const fixture = repository[file ?? ''];
      if (fixture === undefined) return void response.writeHead(404).end();
      void readFile(join(fixtures, fixture)).then((bytes) => {
        response.writeHead(200, { 'X-Repo-Commit': commit, ETag: '"1"', 'Content-Length': bytes.length });
        response.end(method === 'HEAD' ? undefined : bytes);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    options = { endpoint, cacheDir: join(folder, 'cache'), token: 'secret', retries: 0 };
    requests = [];
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const data = (id: string, more: object = {}) => ({ source: hubDataset(id, options), ...more });

  it('is read from the Parquet that the hub makes of it', async () => {
    const { train, held, file } = await open({ data: data('owner/pairs') });
    expect([train.length, held.length, file]).toEqual([12, 6, 'hf:owner/pairs']);
    expect(train[0]).toMatchObject({ prompt: 'Colour of a lemon?', completion: ' yellow' });
    const gets = requests.filter((request) => request.startsWith('GET') && request.endsWith('.parquet'));
    expect(gets).toHaveLength(3);
    expect(gets[0]).toContain('/datasets/owner/pairs/resolve/refs%2Fconvert%2Fparquet/default/train/0000.parquet');
    await open({ data: data('owner/pairs', { split: 'validation' }) });
    expect(requests.filter((request) => request.startsWith('GET') && request.endsWith('.parquet'))).toHaveLength(3);
  });

  it('at a revision from its own files, and so where the hub has made no Parquet', async () => {
    const own = await open({ data: data('owner/pairs', { revision: 'main' }) });
    expect([own.train.length, own.notices]).toEqual([6, ['hf:owner/pairs: learns from train; not used: test.']]);
    expect((await open({ data: data('owner/plain') })).train).toHaveLength(5);
  });

  it('has one config, or one is named', async () => {
    await expect(open({ data: data('owner/several') })).rejects.toThrow(
      /^hf:owner\/several: this data set has several configs: name one of de, en/,
    );
    await expect(open({ data: data('owner/several', { config: 'fr' }) })).rejects.toThrow(/no config 'fr'/);
    expect((await open({ data: data('owner/several', { config: 'de' }) })).train).toHaveLength(6);
    const partial = await open({ data: data('owner/several', { config: 'en' }) });
    expect(partial.notices).toEqual([
      expect.stringMatching(/of train the hub has made Parquet of the first part only/),
    ]);
  });

  it('that is not there, or not for everybody, is an error that says so', async () => {
    await expect(open({ data: data('owner/none') })).rejects.toThrow(
      /^hf:owner\/none: there is no such data set on the hub/,
    );
    await expect(open({ data: data('owner/pairs', { revision: 'v9' }) })).rejects.toThrow(/none of the revision v9/);
    await expect(open({ data: data('owner/gated') })).rejects.toThrow(
      /data set is gated or private.*\/datasets\/owner\/gated/,
    );
    await expect(open({ data: data('owner/gated') })).rejects.toBeInstanceOf(WeightSourceError);
  });

  it('is there without network, once it was read', async () => {
    const offline = { ...options, endpoint: options.endpoint };
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const read = await open({ data: { source: hubDataset('owner/pairs', offline) } });
    expect([read.train.length, read.held.length]).toEqual([12, 6]);
  });
});

it('what a record of the run says of a data set is its name', async () => {
  const { echoConfig } = await import('../../config/config-echo.js');
  const source = hubDataset('owner/pairs', { token: 'secret' });
  const echo = echoConfig(resolveTrainConfig({ weightLoader: unopenedLoader(), data: { source, split: 'train' } }));
  expect(echo['data']).toEqual({
    source: 'hf:owner/pairs',
    format: 'auto',
    lossOn: 'completion',
    tooLong: 'error',
    split: 'train',
  });
});
