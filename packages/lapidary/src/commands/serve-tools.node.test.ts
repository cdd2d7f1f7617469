// The official client of OpenAI's API offers functions to a small model that writes calls (examples/finetune-tools/base).
import { fileURLToPath } from 'node:url';
import { readFunctionCalls } from '@lapidary/gemma';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../cli-node.js';
import { engine } from '../engine-node.js';

const model = fileURLToPath(new URL('../../../../examples/finetune-tools/base', import.meta.url));
const stop = new AbortController();
let running: Promise<number>;
let client: OpenAI;

beforeAll(async () => {
  const url = await new Promise<string>((resolve, reject) => {
    running = runCli(['serve', model, '--name', 'calls', '--port', '0', '--json'], {
      engine,
      version: '0',
      out: (text) => resolve((JSON.parse(text) as { url: string }).url),
      err: () => undefined,
      signal: stop.signal,
    });
    void running.then((code) => reject(new Error(`ended with ${code}`)));
  });
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  stop.abort();
  expect(await running).toBe(0);
});

const functionOf = (name: string, properties: object) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object', properties } },
});
const tools = [
  functionOf('set_lamp', { level: { type: 'integer' }, room: { type: 'string' } }),
  functionOf('play', { song: { type: 'string' } }),
];
const question = { role: 'user' as const, content: 'Set lamp: level 40, room hall.' };
const asked = { model: 'calls', messages: [question], tools, temperature: 0, max_tokens: 60 };

test('calls come as such, whole and streamed, and are those that the model writes', async () => {
  const settings = {
    maxTokens: 60,
    temperature: 0,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    stop: [],
    seed: 1,
  };
  const [{ text } = { text: '' }] = await engine.generate(
    {
      model,
      adapter: null,
      best: false,
      prompts: [{ prompt: question.content, images: [] }],
      samples: 1,
      rows: 1,
      chat: true,
      tools,
      ...settings,
    },
    { onText: () => undefined, onAnswer: () => undefined, onNotice: () => undefined, signal: stop.signal },
  );
  const [call, ...others] = readFunctionCalls(text)!.calls;
  expect(others).toEqual([]);
  expect(call!.name).toBe('set_lamp');
  const told = { type: 'function', function: { name: 'set_lamp', arguments: JSON.stringify(call!.arguments) } };

  const { choices } = await client.chat.completions.create(asked);
  expect(choices).toMatchObject([
    { finish_reason: 'tool_calls', message: { role: 'assistant', content: null, tool_calls: [told] } },
  ]);
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true }))
    chunks.push(chunk.choices[0]!);
  expect(chunks.map(({ delta }) => delta.content ?? '').join('')).toBe('');
  expect(chunks.flatMap(({ delta }) => delta.tool_calls ?? [])).toMatchObject([{ index: 0, ...told }]);
  expect(chunks.at(-1)!.finish_reason).toBe('tool_calls');
});

test('a response goes back by the id of its call, with the message as it came', async () => {
  const { choices } = await client.chat.completions.create(asked);
  const { message } = choices[0]!;
  const response = { role: 'tool' as const, tool_call_id: message.tool_calls![0]!.id, content: 'done' };
  const messages = [question, message, response];
  const answer = await client.chat.completions.create({ ...asked, messages, max_tokens: 4 });
  expect(answer.usage!.completion_tokens).toBeGreaterThan(0);
  // To a call that there was not.
  const lost = client.chat.completions.create({
    ...asked,
    messages: [question, { ...response, tool_call_id: 'other' }],
  });
  await expect(lost).rejects.toMatchObject({ status: 400, param: 'messages' });
});

test('a call that is cut off is text, and so is any where none is asked for', async () => {
  const cut = await client.chat.completions.create({ ...asked, max_tokens: 4 });
  expect(cut.choices[0]).toMatchObject({
    finish_reason: 'length',
    message: { content: expect.stringMatching(/^<start_/) as string },
  });
  expect(cut.choices[0]!.message.tool_calls).toBeUndefined();
  const none = await client.chat.completions.create({ ...asked, tool_choice: 'none' });
  expect(none.choices[0]!.message.tool_calls).toBeUndefined();
  expect(none.choices[0]!.message.content).toMatch(/<start_function_call>/);
});
