// What a model thinks, and what its chat template is told, in the commands that answer: serve through the official client of OpenAI's API.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { runCli } from '../cli-node.js';
import type { Answerer, Engine, GenerateRequest } from '../engine.js';
import { createStandInEngine } from '../testing/stand-in-engine.js';

const thought = '<|channel>thought\nIt rains\nthere.\n<channel|>';
const call = '<|tool_call>call:weather{place:<|"|>Bern<|"|>}<tool_call|>';
/** The answer to any question, in pieces that part its marks. */
let answer: string;
const pieces = () => answer.match(/.{1,7}/gs) ?? [];
type Ask = Parameters<Answerer['ask']>;
const asked: Ask[] = [];
const end = { promptTokens: 1, tokens: 1, stoppedBy: 'stop' as const };

const answerer: Answerer = {
  adapters: [],
  maxLength: 64,
  ask: async (...all) => {
    asked.push(all);
    return {
      promptTokens: 1,
      async *answer() {
        yield* pieces();
        return end;
      },
    };
  },
  close: async () => undefined,
};
const requests: GenerateRequest[] = [];
const chats: object[] = [];
const { engine: standIn, configs, evaluations } = createStandInEngine();
const engine: Engine = {
  ...standIn,
  openAnswerer: async () => answerer,
  generate: async (request, { onText, onAnswer }) => {
    requests.push(request);
    for (const piece of pieces()) onText(piece, 0);
    const told = { ...end, index: 0, sample: 0, seed: 1, text: answer, seconds: 1 };
    onAnswer(told);
    return [told];
  },
  openChat: async (...all) => ({
    ...(await standIn.openChat(...all)),
    async *answer(messages, options) {
      chats.push({ messages, kwargs: options.chatTemplateKwargs });
      yield* pieces();
      return end;
    },
  }),
};

async function run(args: readonly string[], lines: readonly string[] = []) {
  let [out, err] = ['', ''];
  const code = await runCli([...args], {
    engine,
    version: '0',
    stdin: lines.length > 0 ? Readable.from([lines.join('\n')]) : new PassThrough(),
    out: (text) => void (out += text),
    err: (text) => void (err += text),
  });
  return { code, out, err };
}

const stop = new AbortController();
let serving: Promise<number>;
let client: OpenAI;
beforeAll(async () => {
  const url = await new Promise<string>((resolve) => {
    const args = ['serve', 'm', '--port', '0', '--json', '--chat-template-kwargs', '{"enable_thinking":true}'];
    serving = runCli(args, {
      engine,
      version: '0',
      out: (text) => resolve((JSON.parse(text) as { url: string }).url),
      err: () => undefined,
      signal: stop.signal,
    });
  });
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  stop.abort();
  expect(await serving).toBe(0);
});
beforeEach(() => {
  answer = `${thought}It is wet.`;
  for (const list of [asked, requests, chats]) list.length = 0;
});

const question = { model: 'm', messages: [{ role: 'user' as const, content: 'Rain?' }] };

test('serve tells thoughts apart from the content, whole', async () => {
  const { choices } = await client.chat.completions.create(question);
  expect(choices[0]).toMatchObject({
    message: { content: 'It is wet.', reasoning_content: 'It rains\nthere.' },
    finish_reason: 'stop',
  });
  answer = 'It is wet.';
  const [plain] = (await client.chat.completions.create(question)).choices;
  expect(plain!.message).not.toHaveProperty('reasoning_content');
  answer = `${thought}${call}`;
  const [calling] = (await client.chat.completions.create(question)).choices;
  expect(calling).toMatchObject({
    message: {
      content: null,
      reasoning_content: 'It rains\nthere.',
      tool_calls: [{ type: 'function', function: { name: 'weather', arguments: '{"place":"Bern"}' } }],
    },
    finish_reason: 'tool_calls',
  });
});

test.each([`${thought}It is wet.`, `${thought}${call}`])('serve tells them apart as they come: %j', async (text) => {
  answer = text;
  const told = { content: '', thoughts: '', calls: [] as unknown[] };
  for await (const { choices } of await client.chat.completions.create({ ...question, stream: true })) {
    const delta = choices[0]!.delta as { reasoning_content?: string } & (typeof choices)[0]['delta'];
    told.content += delta.content ?? '';
    told.thoughts += delta.reasoning_content ?? '';
    told.calls.push(...(delta.tool_calls ?? []));
  }
  expect(told.thoughts).toBe('It rains\nthere.');
  expect(told.content).toBe(text.endsWith(call) ? '' : 'It is wet.');
  expect(told.calls).toMatchObject(
    text.endsWith(call) ? [{ index: 0, function: { name: 'weather', arguments: '{"place":"Bern"}' } }] : [],
  );
});

test('a completion is the text as it is', async () => {
  const { choices } = await client.completions.create({ model: 'm', prompt: 'Rain?' });
  expect(choices[0]!.text).toBe(answer);
  expect(asked[0]![1].chatTemplateKwargs).toBeUndefined();
});

test('serve hands thoughts of earlier turns and what the template takes to the template', async () => {
  const said = { role: 'assistant' as const, content: 'It is wet.', reasoning_content: 'It rains.' };
  await client.chat.completions.create({ ...question, messages: [...question.messages, said, ...question.messages] });
  expect(asked[0]![0][1]).toEqual(said);
  expect(asked[0]![1].chatTemplateKwargs).toEqual({ enable_thinking: true });
  const own = { chat_template_kwargs: { enable_thinking: false, preserve_thinking: true } };
  await client.chat.completions.create({ ...question, ...own } as typeof question);
  expect(asked[1]![1].chatTemplateKwargs).toEqual(own.chat_template_kwargs);
  const wrong = { ...question, chat_template_kwargs: 'think' } as typeof question;
  await expect(client.chat.completions.create(wrong)).rejects.toThrow(/chat_template_kwargs/);
  const misplaced = [{ role: 'user' as const, content: 'a', reasoning_content: 'b' }];
  await expect(client.chat.completions.create({ ...question, messages: misplaced })).rejects.toThrow(
    /reasoning_content: only messages of the role 'assistant'/,
  );
});

test('generate tells thoughts on standard error, and apart in JSON; a text that goes on keeps its marks', async () => {
  const args = ['generate', '--model', 'm', 'Rain?'];
  const { out, err } = await run([...args, '--chat-template-kwargs', '{"enable_thinking":true}']);
  expect(out).toBe('It is wet.\n');
  expect(err).toMatch(/^Thinking …\nIt rains\nthere\.\n\n1 tokens/);
  expect(requests[0]).toMatchObject({ chat: true, chatTemplateKwargs: { enable_thinking: true } });
  expect(JSON.parse((await run([...args, '--json'])).out)).toMatchObject({
    text: 'It is wet.',
    thoughts: 'It rains\nthere.',
  });
  expect((await run([...args, '--raw'])).out).toBe(`${answer}\n`);
});

test('chat tells thoughts on standard error and remembers none', async () => {
  const { out, err } = await run(
    ['chat', '--model', 'm', '--chat-template-kwargs', '{"enable_thinking":true}'],
    ['Rain?', 'Sure?'],
  );
  expect(out).toBe('It is wet.\nIt is wet.\n');
  expect(err).toBe('Thinking …\nIt rains\nthere.\n\n'.repeat(2));
  expect(chats[1]).toEqual({
    messages: [
      { role: 'user', content: 'Rain?' },
      { role: 'model', content: 'It is wet.' },
      { role: 'user', content: 'Sure?' },
    ],
    kwargs: { enable_thinking: true },
  });
  const told = JSON.parse((await run(['chat', '--model', 'm', '--json'], ['Rain?'])).out) as object;
  expect(told).toEqual({ adapter: null, thoughts: 'It rains\nthere.', text: 'It is wet.', stoppedBy: 'stop' });
});

test.each([
  ['no JSON', ['--chat-template-kwargs', 'think']],
  ['no object', ['--chat-template-kwargs', '[1]']],
  ['nothing for a text that goes on', ['--chat-template-kwargs', '{"a":1}', '--raw']],
])('what the template takes is refused where it is %s', async (_, args) => {
  const { code, err } = await run(['generate', '--model', 'm', 'x', ...args]);
  expect(code).toBe(1);
  expect(err).toContain('--chat-template-kwargs');
});

test('finetune and eval hand what the template takes to their rows', async () => {
  const rows = ['--model', 'm', '--data', 'rows.jsonl', '--chat-template-kwargs'];
  expect((await run(['finetune', ...rows, '{"enable_thinking":true}'])).code).toBe(0);
  expect(configs.at(-1)!.data.chatTemplateKwargs).toEqual({ enable_thinking: true });
  const { code, err } = await run(['finetune', ...rows, 'think']);
  expect(code).toBe(1);
  expect(err).toContain('--chat-template-kwargs');
  expect((await run(['eval', ...rows, '{"enable_thinking":true}'])).code).toBe(0);
  expect(evaluations.at(-1)!.data.chatTemplateKwargs).toEqual({ enable_thinking: true });
});

test('generate asks an adapter with what its rows had, and chat tells of it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-thoughts-'));
  try {
    const kwargs = { enable_thinking: true };
    const config = { data: { chatTemplateKwargs: kwargs } };
    await writeFile(join(folder, 'run.json'), JSON.stringify({ format: 'lapidary-run-1', config, rows: 'messages' }));
    const args = ['generate', '--model', 'm', 'Rain?', '--adapter', folder];
    for (const flags of [[], ['--chat']]) {
      expect((await run([...args, ...flags])).err).toContain(`--chat-template-kwargs '{"enable_thinking":true}'`);
      expect(requests.at(-1)).toMatchObject({ chat: true, chatTemplateKwargs: kwargs });
    }
    await run([...args, '--raw']);
    expect(requests.at(-1)!.chatTemplateKwargs).toBeUndefined();
    await run([...args, '--chat-template-kwargs', '{"enable_thinking":false}']);
    expect(requests.at(-1)!.chatTemplateKwargs).toEqual({ enable_thinking: false });
    const talk = ['chat', '--model', 'm', '--adapter', `a=${folder}`];
    expect((await run(talk, ['Rain?'])).err).toContain('The adapter a was trained with --chat-template-kwargs');
  } finally {
    await rm(folder, { recursive: true });
  }
});
