// The official client of OpenAI's API asks a tiny model; what comes back is what `generate` says.
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { fixtureJson, fixtureTensors } from '../../../../test/support/safetensors-fixture.js';
import { pictureNamingFiles } from '../../../../test/support/picture-naming.js';
import { runCli } from '../cli-node.js';
import { engine, loaderOf } from '../engine-node.js';
import type { GenerateRequest } from '../engine.js';
import { TextModel } from '../text-model.js';

const fixtures = fileURLToPath(new URL('../../../../test/fixtures', import.meta.url));
const adapter = join(fixtures, 'evaluation/adapter');
let folder: string;
let server: Served;

interface Served {
  readonly url: string;
  readonly models: readonly string[];
  /** What went to standard error. */
  told(): string;
  /** The exit code. */
  stop(): Promise<number>;
}

/** Runs `lapidary serve` until it is stopped. */
function start(...args: string[]): Promise<Served> {
  return startModel(folder, ...args);
}

async function startModel(model: string, ...args: string[]): Promise<Served> {
  const stop = new AbortController();
  let told = '';
  let resolve: (text: string) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const listening = new Promise<string>((...both) => ([resolve, reject] = both));
  const running = runCli(['serve', model, '--name', 'tiny', '--port', '0', '--json', ...args], {
    engine,
    version: '0',
    out: (text) => resolve(text),
    err: (text) => void (told += text),
    signal: stop.signal,
  });
  void running.then((code) => reject(new Error(`ended with ${code}: ${told}`)));
  const { url, models } = JSON.parse(await listening) as { url: string; models: string[] };
  return {
    url,
    models,
    told: () => told,
    stop: () => {
      stop.abort();
      return running;
    },
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-serve-'));
  for (const file of ['config.json', 'model.safetensors'])
    await copyFile(join(fixtures, 'models/gemma3-tiny', file), join(folder, file));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(fixtures, 'tokenizer', file), join(folder, file));
  server = await start('--adapter', `tuned=${adapter}`, '--rows', '3', '--max-body', '100KB');
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
  expect(server.told()).not.toContain('error');
  await rm(folder, { recursive: true });
});

const clientOf = ({ url }: Served, apiKey = 'none') => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });

const quiet = () => ({
  onText: () => undefined,
  onAnswer: () => undefined,
  onNotice: () => undefined,
  signal: new AbortController().signal,
});

/** What `lapidary generate` answers. */
async function generated(prompt: string, over: Partial<GenerateRequest> = {}): Promise<string> {
  const asked: GenerateRequest = {
    model: folder,
    adapter: null,
    best: false,
    prompts: [{ prompt, images: [] }],
    samples: 1,
    rows: 1,
    chat: false,
    maxTokens: 12,
    temperature: 0,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    stop: [],
    seed: 5,
    ...over,
  };
  return (await engine.generate(asked, quiet()))[0]!.text;
}

const ask = (content: string) => [{ role: 'user' as const, content }];

describe('answers', () => {
  test('of a chat are those of generate --chat, whole and streamed, with usage', async () => {
    const client = clientOf(server);
    const expected = await generated('The lamp', { chat: true });
    expect(expected).not.toBe('');
    const how = { model: 'tiny', messages: ask('The lamp'), temperature: 0, max_completion_tokens: 12 };
    const whole = await client.chat.completions.create(how);
    expect(whole.choices).toMatchObject([{ index: 0, message: { role: 'assistant', content: expected } }]);
    expect(whole).toMatchObject({ object: 'chat.completion', model: 'tiny' });
    const { usage } = whole;
    expect(usage!.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens);
    expect(usage!.prompt_tokens).toBeGreaterThan(2);

    let text = '';
    const chunks = [];
    const stream = await client.chat.completions.create({
      ...how,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      chunks.push(chunk);
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(expected);
    expect(chunks[0]!.choices[0]!.delta.role).toBe('assistant');
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe(whole.choices[0]!.finish_reason);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test('a stream is server-sent events that end with [DONE]', async () => {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', prompt: 'The lamp', stream: true, max_tokens: 3, user: null }),
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const lines = (await response.text()).split('\n\n');
    expect(lines.slice(-2)).toEqual(['data: [DONE]', '']);
    expect(JSON.parse(lines[0]!.slice(6))).toMatchObject({ object: 'text_completion', choices: [{ index: 0 }] });
  });

  test('many at once are those of one at a time, of the model and of its adapter', async () => {
    const client = clientOf(server);
    const prompts = ['The lamp', 'A river by the', 'Stone', 'The grey stone is', 'x'];
    const asked = prompts.flatMap((prompt) => ['tiny', 'tuned'].map((model) => ({ model, prompt })));
    const found = await Promise.all(
      asked.map(async (each) => {
        const { choices } = await client.completions.create({ ...each, temperature: 0, max_tokens: 12 });
        return choices[0]!.text;
      }),
    );
    const expected = [];
    for (const { model, prompt } of asked)
      expected.push(await generated(prompt, { adapter: model === 'tuned' ? adapter : null }));
    expect(found).toEqual(expected);
    expect(new Set(expected).size).toBeGreaterThan(5);
  });

  test('several of one prompt are drawn with one seed after the other; lists of prompts keep their order', async () => {
    const client = clientOf(server);
    const how = { model: 'tiny', temperature: 1.5, max_tokens: 12, seed: 5 };
    const { choices, usage } = await client.completions.create({ ...how, prompt: ['The lamp', 'Stone'], n: 2 });
    const drawn = (prompt: string, seed: number) => generated(prompt, { temperature: 1.5, seed });
    expect(choices.map(({ text }) => text)).toEqual([
      await drawn('The lamp', 5),
      await drawn('The lamp', 6),
      await drawn('Stone', 5),
      await drawn('Stone', 6),
    ]);
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(usage!.completion_tokens).toBeGreaterThan(4);
  });

  test('end before a stop text, and say why they ended', async () => {
    const client = clientOf(server);
    const text = await generated('The lamp');
    const stop = text.slice(4, 6);
    const how = { model: 'tiny', prompt: 'The lamp', temperature: 0, max_tokens: 12 };
    const { choices } = await client.completions.create({ ...how, stop: [stop] });
    expect(choices[0]).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
    expect((await client.completions.create(how)).choices[0]!.finish_reason).toBe('length');
  });

  test('samplers are those of generate', async () => {
    const body = { model: 'tiny', prompt: 'The lamp', max_tokens: 12, seed: 5, temperature: 1.2 };
    const sampled = { top_k: 20, top_p: 0.9, min_p: 0.01, repetition_penalty: 1.3 };
    const { choices } = await clientOf(server).completions.create({ ...body, ...sampled });
    const settings = { temperature: 1.2, topK: 20, topP: 0.9, minP: 0.01, repetitionPenalty: 1.3 };
    expect(choices[0]!.text).toBe(await generated('The lamp', settings));
  });
});

test('models are the base and its adapters; health needs nothing', async () => {
  const { data } = await clientOf(server).models.list();
  expect(data.map(({ id }) => id)).toEqual(['tiny', 'tuned']);
  expect(server.models).toEqual(['tiny', 'tuned']);
  expect(await clientOf(server).models.retrieve('tuned')).toMatchObject({ id: 'tuned', object: 'model' });
  await expect(clientOf(server).models.retrieve('other')).rejects.toMatchObject({
    status: 404,
    code: 'model_not_found',
  });
  expect(await (await fetch(`${server.url}/health`)).json()).toEqual({ status: 'ok' });
});

describe('refused is', () => {
  const post = async (body: unknown, headers: Record<string, string> = {}, path = '/v1/chat/completions') => {
    const response = await fetch(server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const { error } = (await response.json()) as {
      error?: { param: string; code: string; type: string; message: string };
    };
    return { status: response.status, ...error };
  };
  const right = { model: 'tiny', messages: ask('The lamp'), max_tokens: 1 };

  test.each<[object, string, string]>([
    [{ top_logprobs: 3 }, 'top_logprobs', 'invalid_value'],
    [{ frequency_penalty: 0.5 }, 'frequency_penalty', 'invalid_value'],
    [{ temperatur: 1 }, 'temperatur', 'unknown_parameter'],
    [{ temperature: -1 }, 'temperature', 'invalid_value'],
    [{ temperature: '1' }, 'temperature', 'invalid_value'],
    [{ max_tokens: 0 }, 'max_tokens', 'invalid_value'],
    [{ n: 129 }, 'n', 'invalid_value'],
    [{ stop: [''] }, 'stop', 'invalid_value'],
    [{ tools: [{ type: 'function' }] }, 'tools.0.function', 'invalid_value'],
    [
      { tools: [{ type: 'function', function: { name: 'f', strict: true } }] },
      'tools.0.function.strict',
      'invalid_value',
    ],
    [{ tool_choice: 'required' }, 'tool_choice', 'invalid_value'],
    [{ parallel_tool_calls: false }, 'parallel_tool_calls', 'invalid_value'],
    // The model's template knows none: they would be left out.
    [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'messages', null as unknown as string],
    [{ response_format: { type: 'json_object' } }, 'response_format', 'invalid_value'],
    [{ logit_bias: { 5: 1 } }, 'logit_bias', 'invalid_value'],
    [{ messages: [] }, 'messages', 'invalid_value'],
    [{ messages: [{ role: 'other', content: 'x' }] }, 'messages.0.role', 'invalid_value'],
    [{ messages: [{ role: 'user', content: 'x', tool_call_id: '1' }] }, 'messages.0.tool_call_id', 'invalid_value'],
    [{ messages: [{ role: 'user', content: null }] }, 'messages', null as unknown as string],
    [
      {
        messages: [
          {
            role: 'user',
            content: 'x',
            tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{}' } }],
          },
        ],
      },
      'messages.0.tool_calls',
      'invalid_value',
    ],
    [
      {
        messages: [
          { role: 'assistant', tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: {} } }] },
        ],
      },
      'messages.0.tool_calls.0.function.arguments',
      'invalid_value',
    ],
    [{ messages: [{ role: 'user', content: 'x', extra: 1 }] }, 'messages.0.extra', 'unknown_parameter'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://localhost/a.png' } }] }] },
      'messages.0.content.0.image_url.url',
      'invalid_image_url',
    ],
    [{ stream_options: { include_usage: true } }, 'stream_options', null as unknown as string],
  ])('by name: %j', async (over, param, code) => {
    const found = await post({ ...right, ...over });
    expect(found).toMatchObject({ status: 400, type: 'invalid_request_error', param, code });
  });

  test('nothing that only says who asks, or that asks for what is done anyway', async () => {
    const harmless = { user: 'me', metadata: { a: 'b' }, frequency_penalty: 0, n: 1, logprobs: false, tools: [] };
    expect((await post({ ...right, ...harmless, response_format: { type: 'text' }, seed: null })).status).toBe(200);
  });

  test('a model that there is not, a prompt that has no room, turns out of order, pictures for a text model', async () => {
    expect(await post({ ...right, model: 'other' })).toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
    const long = 'stone river '.repeat(200);
    expect(await post({ ...right, messages: ask(long) })).toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
      message: expect.stringMatching(
        /no room for an answer in 128; shorten it: that is all that the model has/,
      ) as string,
    });
    const stream = clientOf(server).chat.completions.create({ ...right, messages: ask(long), stream: true });
    await expect(stream).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } };
    expect(await post({ ...right, messages: [{ role: 'user', content: [picture] }] })).toMatchObject({
      status: 400,
      param: 'messages',
      message: expect.stringContaining('no vision tower') as string,
    });
  });

  test('what is no JSON, no JSON by its type, too large, or elsewhere', async () => {
    expect(await post('{')).toMatchObject({ status: 400, message: expect.stringContaining('no JSON') as string });
    expect(await post('[]')).toMatchObject({ status: 400 });
    expect(await post(right, { 'content-type': 'text/plain' })).toMatchObject({ status: 415 });
    expect(await post({ ...right, user: 'x'.repeat(100_001) })).toMatchObject({ status: 413 });
    expect(await post(right, {}, '/v1/audio/speech')).toMatchObject({ status: 404, code: 'not_found' });
  });

  test('a page of another origin, and a name that is led here', async () => {
    expect(await post(right, { origin: 'https://elsewhere.example' })).toMatchObject({ code: 'origin_not_allowed' });
    const { port } = new URL(server.url);
    const statusFor = (host: string) =>
      new Promise((resolve, reject) => {
        request({ port, path: '/v1/models', headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on('error', reject)
          .end();
      });
    expect(await statusFor('elsewhere.example')).toBe(403);
    expect(await statusFor(`localhost.elsewhere.example:${port}`)).toBe(403);
    expect(await statusFor(`localhost:${port}`)).toBe(200);
    expect(await statusFor(`[::1]:${port}`)).toBe(200);
  });
});

test('with a key only those who have it are answered; a page of an allowed origin may ask', async () => {
  const origin = 'http://localhost:5173';
  const guarded = await start('--api-key', 'right-key', '--cors', origin);
  try {
    for (const wrong of ['wrong-key', 'right-ke', 'right-key2'])
      await expect(clientOf(guarded, wrong).models.list()).rejects.toMatchObject({
        status: 401,
        code: 'invalid_api_key',
      });
    expect((await clientOf(guarded, 'right-key').models.list()).data).toHaveLength(1);
    expect((await fetch(`${guarded.url}/health`)).status).toBe(200);
    const asking = await fetch(`${guarded.url}/v1/models`, { method: 'OPTIONS', headers: { origin } });
    expect(asking.headers.get('access-control-allow-origin')).toBe(origin);
    expect((await fetch(`${guarded.url}/v1/models`, { headers: { origin: 'http://localhost:1' } })).status).toBe(403);
  } finally {
    expect(await guarded.stop()).toBe(0);
  }
  expect(guarded.told()).not.toContain('right-key');
});

test('a conversation goes on in its row, as if all were read again; beyond --context a larger one is named', async () => {
  const opened = vi.spyOn(TextModel.prototype, 'openSession');
  const small = await start('--rows', '2', '--context', '100');
  const model = await TextModel.open(loaderOf(folder));
  const client = clientOf(small);
  const talk = async (topic: string) => {
    const messages: { role: 'user' | 'assistant'; content: string }[] = [];
    for (const question of [`The lamp by the river is ${topic}. Is it?`, 'Why?', 'And the stone?']) {
      messages.push(...ask(question));
      const how = { model: 'tiny', messages, temperature: 0, max_completion_tokens: 8 };
      const { choices } = await client.chat.completions.create(how);
      let text = '';
      for await (const part of model.answer(messages, { maxNewTokens: 8 })) text += part;
      expect(choices[0]!.message.content).toBe(text);
      messages.push({ role: 'assistant', content: text });
    }
  };
  try {
    await Promise.all([talk('green'), talk('old')]);
    expect(opened.mock.calls[0]).toEqual([{ adapter: null, rows: 2, maxLength: 100, reusesPrefix: true }]);
    const beyond = { model: 'tiny', messages: ask('stone river '.repeat(200)) };
    await expect(client.chat.completions.create(beyond)).rejects.toThrow(
      /room for an answer in 100; shorten it, or serve with a larger --context: the model itself has room for 128/,
    );
  } finally {
    opened.mockRestore();
    model.destroy();
    expect(await small.stop()).toBe(0);
  }
});

test('whoever goes away gives the row back, and a server that stops ends its streams', async () => {
  const single = await start('--rows', '1');
  const client = clientOf(single);
  const how = { model: 'tiny', prompt: 'The lamp', temperature: 1.5, max_tokens: 100, seed: 3 };
  const left = await client.completions.create({ ...how, stream: true });
  for await (const chunk of left) if (chunk.choices[0]!.text !== '') break;
  const gone = new AbortController();
  const waiting = client.completions.create(how, { signal: gone.signal });
  gone.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
  // The only row is free again.
  expect((await client.completions.create({ ...how, max_tokens: 2 })).choices[0]!.text).not.toBe('');
  const last = await client.completions.create({ ...how, stream: true });
  let pieces = 0;
  let code: Promise<number> | undefined;
  for await (const _ of last) {
    pieces++;
    code ??= single.stop();
  }
  // It was let to its end.
  expect(pieces).toBeGreaterThan(3);
  expect(await code).toBe(0);
  await expect(fetch(`${single.url}/health`)).rejects.toThrow();
});

test('a host that others reach needs a key; names may not clash', async () => {
  const told = async (...args: string[]) => {
    let err = '';
    const code = await runCli(['serve', folder, ...args], {
      engine,
      version: '0',
      out: () => undefined,
      err: (text) => void (err += text),
    });
    return `${code}: ${err}`;
  };
  expect(await told('--host', '0.0.0.0')).toMatch(/^1: .*needs an API key/);
  expect(await told('--api-key', ' ')).toMatch(/^1: .*key is empty/);
  expect(await told('--name', 'adapter', '--adapter', adapter)).toMatch(/^1: .*both called adapter/);
  expect(await told('--cors', 'localhost', '--port', '70000')).toMatch(/^1: .*--port.*\n.*--cors/);
});

test('PaliGemma is asked about pictures, which are data: URLs', async () => {
  const model = await mkdtemp(join(tmpdir(), 'lapidary-serve-'));
  for (const source of await pictureNamingFiles())
    await writeFile(join(model, source.name), await source.read(0, source.size));
  const seeing = await startModel(model);
  try {
    const image = join(fixtures, 'images/grey.png');
    const how = { model, prompts: [{ prompt: 'name\n', images: [image] }], samples: 1, rows: 1, maxTokens: 6 };
    const settings = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, stop: [], seed: 1 };
    const asked = { ...how, ...settings, adapter: null, best: false, chat: true };
    const expected = (await engine.generate(asked, quiet()))[0]!;
    const url = `data:image/png;base64,${(await readFile(image)).toString('base64')}`;
    const content = [
      { type: 'image_url' as const, image_url: { url } },
      { type: 'text' as const, text: 'name\n' },
    ];
    const messages = [{ role: 'user' as const, content }];
    const create = (over: object = {}) =>
      clientOf(seeing).chat.completions.create({ model: 'tiny', temperature: 0, max_tokens: 6, messages, ...over });
    const { choices, usage } = await create();
    expect(choices[0]!.message.content).toBe(expected.text);
    expect(usage!.prompt_tokens).toBe(expected.promptTokens);
    await expect(create({ messages: ask('name') })).rejects.toThrow(/400 .*about a picture/);
    const broken = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: `${url.slice(0, 60)}AAAA` } }] }];
    await expect(create({ messages: broken })).rejects.toMatchObject({ status: 400, code: 'invalid_image' });
  } finally {
    expect(await seeing.stop()).toBe(0);
    await rm(model, { recursive: true });
  }
});

test('vectors of texts, to a model that makes them', async () => {
  const { queries } = await fixtureJson<{ queries: string[] }>('embeddings/odd/reference.json');
  const expected = (await fixtureTensors('embeddings/odd/reference.safetensors')).get('query')!.data;
  const served = await startModel(join(fixtures, 'embeddings/odd'), '--context', '40');
  const client = clientOf(served);
  const embed = (input: string | string[], more: object = {}) =>
    client.embeddings.create({ model: 'tiny', input, ...more });
  // The client asks for base64 by itself.
  const packed = (await embed(queries, { prompt_name: 'query' })).data.flatMap(({ embedding }) => embedding);
  const plain = await embed(queries, { prompt_name: 'query', encoding_format: 'float' });
  expect(packed).toHaveLength(expected.length);
  packed.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-5));
  expect(plain.data.flatMap(({ embedding }) => embedding)).toEqual(packed);
  expect(plain.usage.prompt_tokens).toBeGreaterThan(queries.length * 10);
  const whole = { model: 'tiny', messages: [{ role: 'user' as const, content: 'a' }] };
  for (const [asked, message] of [
    [embed('a', { prompt_name: 'qurey' }), /400 .*no prompt of the model is called 'qurey'/],
    [embed('a', { dimensions: 7 }), /400 .*no vectors of 7 values/],
    [embed('word '.repeat(50)), /400 .*text 1 has \d+ tokens, and at most 40 are taken/],
    [embed(''), /400 .*input: found ''; allowed: a text that is not empty/],
    [embed('a', { instruction: 'b' }), /400 .*instruction: .*no such field/],
    [client.embeddings.create({ model: 'other', input: 'a' }), /404 .*no model 'other'/],
    [client.chat.completions.create(whole), /400 .*EmbeddingGemma turns texts into vectors and answers nothing/],
  ] as const)
    await expect(asked).rejects.toThrow(message);
  await expect(clientOf(server).embeddings.create({ model: 'tiny', input: 'a' })).rejects.toThrow(
    /400 tiny answers; it makes no vectors/,
  );
  expect(await served.stop()).toBe(0);
});
