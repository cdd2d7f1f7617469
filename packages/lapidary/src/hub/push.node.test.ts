import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { runCli } from '../cli-node.js';
import { engine } from '../engine-node.js';
import type { Engine } from '../engine.js';
import { createStandInHub } from '../testing/stand-in-hub-node.js';

const token = 'hf_secretOfTheUser';
let [folder, run] = ['', ''];
let hub: Awaited<ReturnType<typeof createStandInHub>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-push-'));
  run = join(folder, 'run');
  const fixtures = fileURLToPath(new URL('../../../../test/fixtures', import.meta.url));
  for (const file of ['config.json', 'model.safetensors'])
    await copyFile(join(fixtures, 'models/gemma3-tiny', file), join(folder, file));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(fixtures, 'tokenizer', file), join(folder, file));
  // A GGUF has no words for others.
  const text = (await readFile(join(folder, 'config.json'), 'utf8'))
    .replace('"query_pre_attn_scalar": 9', '"query_pre_attn_scalar": 16')
    .replace('"rope_theta": 100.0', '"rope_theta": 10000.0');
  await writeFile(join(folder, 'config.json'), text);
  await writeFile(join(folder, 'rows.jsonl'), '{"prompt": "The lamp", "completion": " by the river"}\n'.repeat(4));
});
afterAll(() => rm(folder, { recursive: true }));

beforeEach(async () => {
  await open();
});
afterEach(() => {
  hub.close();
  vi.unstubAllEnvs();
});

async function open(options: Parameters<typeof createStandInHub>[0] = {}) {
  hub = await createStandInHub(options);
  vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`);
  vi.stubEnv('HF_TOKEN', token);
}

async function cli(args: readonly string[], over: Partial<Engine> = {}, signal?: AbortSignal) {
  let [out, err] = ['', ''];
  const code = await runCli(args, {
    engine: { ...engine, ...over },
    version: '0',
    out: (text) => (out += text),
    err: (text) => (err += text),
    ...(signal && { signal }),
  });
  expect(out + err).not.toContain('secretOfTheUser');
  return { code, out, err };
}

const train = (...more: string[]) => [
  ...['finetune', '--model', folder, '--data', join(folder, 'rows.jsonl'), '--steps', '2', '--max-length', '16'],
  ...['--batch-size', '2', '--sample-count', '0', '--base-model-name', 'google/gemma-3-270m', '--out', run, ...more],
];
const files = (id: string) => hub.repositories.get(id)!.files;
const cardOf = (id: string) => {
  const text = String(files(id).get('README.md'));
  const [, front = '', body = ''] = /^---\n(.*?)\n---\n(.*)$/s.exec(text) ?? [];
  return { front: parse(front) as Record<string, unknown>, body };
};

test('a run is pushed with its card, and again in other forms', async () => {
  hub.state.cards['google/gemma-3-270m'] = { license: 'gemma', tags: ['not', 'taken'] };
  const done = await cli(train('--push-to-hub', 'ada/lamps', '--json'));
  expect([done.code, done.err]).toEqual([0, expect.stringContaining(`Pushed to ${hub.endpoint}/ada/lamps`) as string]);
  expect(JSON.parse(done.out)).toMatchObject({
    steps: 2,
    pushed: { repository: 'ada/lamps', url: `${hub.endpoint}/ada/lamps`, commit: 'c1' },
  });
  const pushed = files('ada/lamps');
  expect([...pushed.keys()].sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
  for (const name of ['adapter_config.json', 'adapter_model.safetensors'])
    expect(pushed.get(name)!.equals(await readFile(join(run, name)))).toBe(true);
  const { front, body } = cardOf('ada/lamps');
  expect(front).toEqual({
    base_model: 'google/gemma-3-270m',
    base_model_relation: 'adapter',
    library_name: 'peft',
    tags: ['lora', 'lapidary'],
    license: 'gemma',
  });
  expect(body).toMatch(/# lamps\n\nA LoRA adapter, in the form of PEFT, of \[google\/gemma-3-270m\]/);
  expect(body).toMatch(/\| steps \| 2 \|/);
  expect(body).toMatch(/\| rows trained on \| 3 \|/);
  expect(body).toMatch(/\| LoRA rank \| \d+ \|/);
  expect(body).toMatch(/\| training, last step \| \d+\.\d+ \|/);
  // Nothing of this machine.
  expect(body).not.toContain(folder);
  expect(hub.repositories.get('ada/lamps')!.isPrivate).toBe(false);

  // What is there already, without an export; the card stays as people have changed it.
  pushed.set('README.md', Buffer.from('my own'));
  const again = await cli(['export', run, '--push-to-hub', 'ada/lamps', '--json']);
  expect(JSON.parse(again.out)).toMatchObject({ step: 2, pushed: { commit: 'c2' } });
  expect(String(pushed.get('README.md'))).toBe('my own');

  const model = join(folder, 'model');
  const merged = ['export', run, '--to', 'merged', '--out', model, '--shard-size', '100KB'];
  expect((await cli([...merged, '--push-to-hub', 'ada/whole', '--private'])).code).toBe(0);
  expect(hub.repositories.get('ada/whole')!.isPrivate).toBe(true);
  const names = [...files('ada/whole').keys()];
  expect(names.filter((name) => /^model-\d+-of-\d+\.safetensors$/.test(name)).length).toBeGreaterThan(1);
  expect(names).toEqual(expect.arrayContaining(['config.json', 'model.safetensors.index.json', 'tokenizer.json']));
  for (const name of names.filter((each) => each !== 'README.md'))
    expect(
      files('ada/whole')
        .get(name)!
        .equals(await readFile(join(model, name))),
    ).toBe(true);
  expect(cardOf('ada/whole').front).toMatchObject({ library_name: 'transformers', base_model_relation: 'finetune' });
  // What else lies in the folder is nobody's business.
  await writeFile(join(model, 'notes.txt'), 'mine');
  await writeFile(join(model, '.env'), 'KEY=1');
  await cli(['export', model, '--push-to-hub', 'ada/again']);
  expect([...files('ada/again').keys()].sort()).toEqual(names.sort());

  // A shard that is gone, or cut short: nothing is pushed.
  const shard = names.find((name) => name.startsWith('model-00002'))!;
  const { length } = await readFile(join(model, shard));
  await truncate(join(model, shard), length - 8);
  const cut = await cli(['export', model, '--push-to-hub', 'ada/cut']);
  expect([cut.code, cut.err]).toEqual([
    1,
    expect.stringMatching(new RegExp(`not whole: ${shard}.*Nothing was pushed`)) as string,
  ]);
  await rm(join(model, shard));
  const gone = await cli(['export', model, '--push-to-hub', 'ada/cut']);
  expect(gone.err).toMatch(
    /model\.safetensors\.index\.json: model-00002.*, which it names, is not there\. Nothing was pushed/,
  );
  expect(hub.repositories.has('ada/cut')).toBe(false);

  const gguf = join(folder, 'lora.gguf');
  const lora = await cli(['export', run, '--to', 'gguf-lora', '--out', gguf, '--push-to-hub', 'ada/lora-gguf']);
  expect(lora.err).not.toContain('error');
  expect([lora.code, [...files('ada/lora-gguf').keys()]]).toEqual([0, ['lora.gguf', 'README.md']]);
  expect(cardOf('ada/lora-gguf').front).toMatchObject({ library_name: 'gguf', tags: ['gguf', 'lora', 'lapidary'] });
  const whole = join(folder, 'whole.gguf');
  await cli(['export', run, '--to', 'gguf', '--quant', 'f16', '--out', whole, '--push-to-hub', 'ada/gguf']);
  expect(
    files('ada/gguf')
      .get('whole.gguf')!
      .equals(await readFile(whole)),
  ).toBe(true);
  expect(cardOf('ada/gguf').front).toMatchObject({ base_model_relation: 'finetune', tags: ['gguf', 'lapidary'] });
  expect((await cli(['export', gguf, '--push-to-hub', 'ada/lora-again'])).code).toBe(0);
  expect(
    files('ada/lora-again')
      .get('lora.gguf')!
      .equals(await readFile(gguf)),
  ).toBe(true);
});

/** Commands with an adapter that is there, and what stands in for training. */
const push = (...more: string[]) => cli(['export', run, '--push-to-hub', 'ada/lamps', ...more]);

test.each([
  ['lamps', '"lamps"'],
  ['ada/', '"ada/"'],
  ['ada/lamps/more', '"ada/lamps/more"'],
  ['ada/../x', '"ada/../x"'],
  ['-ada/x', '"-ada/x"'],
  ['ada/x.git', '"ada/x.git"'],
  ['ada/a b', '"ada/a b"'],
])('%s is no repository: nothing is asked or trained', async (name) => {
  let trained = false;
  const runTraining: Engine['runTraining'] = () => {
    trained = true;
    return Promise.reject(new Error('it must not train'));
  };
  const { code, err } = await cli(train(`--push-to-hub=${name}`), { runTraining });
  expect([code, trained, hub.heard]).toEqual([1, false, []]);
  expect(err).toMatch(/--push-to-hub: found .*; allowed: owner\/name/);
});

test.each<[string, () => unknown, RegExp]>([
  [
    'no token',
    () => {
      vi.stubEnv('HF_TOKEN', '');
      vi.stubEnv('HUGGING_FACE_HUB_TOKEN', '');
      vi.stubEnv('HF_HOME', join(folder, 'nowhere'));
    },
    /takes an access token, and there is none/,
  ],
  ['no real token', () => vi.stubEnv('HF_TOKEN', 'Bearer hf_secretOfTheUser'), /is none: they begin with hf_/],
  [
    'a token that the hub does not know',
    () => vi.stubEnv('HF_TOKEN', 'hf_secretOfTheUserThatWas'),
    /answers 401: it does not know the access token \(it says: Invalid username or password\)/,
  ],
  ['a wrong endpoint', () => vi.stubEnv('HF_ENDPOINT', 'hub.example'), /HF_ENDPOINT is no address of a hub/],
])('%s is told before anything is trained', async (_, arrange, message) => {
  arrange();
  const runTraining: Engine['runTraining'] = () => Promise.reject(new Error('it must not train'));
  const { code, err } = await cli(train('--push-to-hub', 'ada/lamps'), { runTraining });
  expect([code, err]).toEqual([1, expect.stringMatching(message) as string]);
  expect(hub.repositories.size).toBe(0);
});

test("a token that may only read, another's name, and a public repository for --private are refused before training", async () => {
  const runTraining: Engine['runTraining'] = () => Promise.reject(new Error('it must not train'));
  const foreign = await cli(train('--push-to-hub', 'bob/lamps'), { runTraining });
  expect([foreign.code, foreign.err]).toEqual([
    1,
    expect.stringMatching(
      /answers 403: the access token of ada may not write to bob\/lamps \(it says: You do not have the rights/,
    ) as string,
  ]);
  hub.repositories.set('ada/open', { isPrivate: false, files: new Map(), commits: [] });
  const open = await cli(train('--push-to-hub', 'ada/open', '--private'), { runTraining });
  expect([open.code, open.err]).toEqual([
    1,
    expect.stringMatching(/ada\/open is there already, and is not private/) as string,
  ]);
  const alone = await cli(train('--private'), { runTraining });
  expect([alone.code, alone.err]).toEqual([1, expect.stringMatching(/--private goes with --push-to-hub/) as string]);
  hub.close();
  hub = await createStandInHub({ role: 'read' });
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  const reader = await cli(train('--push-to-hub', 'ada/lamps'), { runTraining });
  expect([reader.code, reader.err]).toEqual([1, expect.stringMatching(/of ada may only read/) as string]);
  expect(hub.repositories.size).toBe(0);
});

test("somebody else's repository that a token may write to is written to; one that it may only see is refused", async () => {
  hub.repositories.set('bob/lamps', { isPrivate: true, files: new Map(), commits: [] });
  expect((await cli(['export', run, '--push-to-hub', 'bob/lamps', '--private'])).code).toBe(0);
  expect(files('bob/lamps').has('adapter_model.safetensors')).toBe(true);
  hub.state.own = ({ url }, response) => {
    if (!url!.includes('/preupload/')) return;
    response.writeHead(403, { 'Content-Type': 'application/json' }).end('{"error": "Forbidden: pass create_pr=1"}');
    return true;
  };
  const runTraining: Engine['runTraining'] = () => Promise.reject(new Error('it must not train'));
  const { code, err } = await cli(train('--push-to-hub', 'bob/lamps'), { runTraining });
  expect([code, err]).toEqual([1, expect.stringMatching(/403: .* may not write to bob\/lamps/) as string]);
});

test.each([
  [401, 'x', /answers 401: it does not know the access token/],
  [403, 'No', /answers 403: .*may not write to ada\/lamps \(it says: No\)/],
  [404, 'Repository not found', /answers 404: there is no ada\/lamps/],
  [409, 'Conflict', /answers 409: ada\/lamps was changed meanwhile.*\nPush again\./],
  [413, '', /answers 413/],
  [
    422,
    `odd \u001b[31m ${token} https://s3.example/x?sig=abc`,
    /answers 422 \(it says: odd \[31m … https:\/\/s3.example\/x\?…\)/,
  ],
])('a commit that ends with %d says so, and how to push again', async (status, error, message) => {
  hub.state.own = ({ url }, response) => {
    if (!url!.includes('/commit/')) return;
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error }));
    return true;
  };
  const { code, err, out } = await push('--json');
  expect([code, err]).toEqual([1, expect.stringMatching(message) as string]);
  expect(err).toContain(`The files stay in ${run}. To push them again: lapidary export ${run} --push-to-hub ada/lamps`);
  expect(JSON.parse(out)).toMatchObject({
    error: { name: 'HubPushError', hint: expect.stringContaining('To push') as string },
  });
  expect(files('ada/lamps').size).toBe(0);
  hub.state.own = undefined;
  expect((await push()).code).toBe(0);
});

test('Ctrl-C ends a push, with nothing committed, and says how to push again', async () => {
  const controller = new AbortController();
  hub.state.own = ({ url }) => {
    if (!url!.startsWith('/storage/')) return;
    controller.abort();
    return true;
  };
  const { code, err } = await cli(['export', run, '--push-to-hub', 'ada/stopped'], {}, controller.signal);
  expect([code, err]).toEqual([
    130,
    expect.stringContaining(`lapidary export ${run} --push-to-hub ada/stopped`) as string,
  ]);
  expect(files('ada/stopped').size).toBe(0);
});

test('training whose push fails keeps its files, and says how to push them again', async () => {
  hub.state.own = ({ url }, response) => {
    if (!url!.includes('/commit/')) return;
    response.writeHead(403).end('<html>');
    return true;
  };
  const outDir = join(folder, 'kept');
  const { code, err } = await cli([...train('--push-to-hub', 'ada/kept'), '--out', outDir]);
  expect([code, err]).toEqual([
    1,
    expect.stringContaining(`lapidary export ${outDir} --push-to-hub ada/kept`) as string,
  ]);
  hub.state.own = undefined;
  expect((await cli(['export', outDir, '--push-to-hub', 'ada/kept'])).code).toBe(0);
  expect(
    files('ada/kept')
      .get('adapter_model.safetensors')!
      .equals(await readFile(join(outDir, 'adapter_model.safetensors'))),
  ).toBe(true);
});

test('a run that has not ended, and what is no export, are told', async () => {
  const empty = await mkdtemp(join(folder, 'empty-'));
  const nothing = await cli(['export', empty, '--push-to-hub', 'ada/lamps']);
  expect([nothing.code, nothing.err]).toEqual([1, expect.stringMatching(/Nothing has been exported in/) as string]);
  expect((await cli(['export', join(folder, 'none'), '--push-to-hub', 'ada/lamps'])).err).toMatch(
    /There is nothing at/,
  );
  expect((await cli(['export', join(folder, 'rows.jsonl'), '--push-to-hub', 'ada/lamps'])).err).toMatch(
    /is no \.gguf file/,
  );
  await copyFile(join(run, 'adapter_config.json'), join(empty, 'adapter_config.json'));
  const half = await cli(['export', empty, '--push-to-hub', 'ada/lamps']);
  expect([half.code, half.err]).toEqual([
    1,
    expect.stringMatching(/not whole: there is no adapter_model\.safetensors/) as string,
  ]);
  await writeFile(join(empty, 'adapter_model.safetensors'), '');
  expect((await cli(['export', empty, '--push-to-hub', 'ada/lamps'])).err).toMatch(
    /adapter_model\.safetensors is empty/,
  );
  const trl = await cli(['export', run, '--to', 'trl', '--out', join(folder, 'trl'), '--push-to-hub', 'ada/lamps']);
  expect([trl.code, trl.err]).toEqual([1, expect.stringMatching(/not a run for TRL/) as string]);
});
