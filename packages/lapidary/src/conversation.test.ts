// Turns of a conversation that stays on the device, against answers that read all of it each time.
import type { ChatMessage } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { bufferSource, modelWeightLoader, type ByteSource } from '@lapidary/weights';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { adapterSources, chatModelSources } from '../../../test/support/fixture-sources.js';
import { TextModel } from './text-model.js';

let gpu: Gpu;
let model: TextModel;

/** gemma3-tiny, whose windows are of 4 tokens, with a longer context: it makes no difference to its values. */
async function withContext(tokens: number): Promise<ByteSource[]> {
  return Promise.all(
    (await chatModelSources()).map(async (source) => {
      if (source.name !== 'config.json') return source;
      const config = JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as object;
      const changed = JSON.stringify({ ...config, max_position_embeddings: tokens });
      return bufferSource(source.name, new TextEncoder().encode(changed));
    }),
  );
}

beforeAll(async () => {
  gpu = await openGpu();
  const tuned = await adapterSources('evaluation/adapter');
  model = await TextModel.open(modelWeightLoader({ from: await withContext(4096) }), { gpu, adapters: { tuned } });
});
afterAll(() => {
  model.destroy();
  gpu.destroy();
});

const textOf = async (answer: AsyncGenerator<string, unknown, void>) => {
  let text = '';
  for await (const part of answer) text += part;
  return text;
};

/** A conversation whose every answer is compared. */
function talk() {
  const conversation = model.openConversation();
  const opened = vi.spyOn(model, 'openSession');
  let messages: ChatMessage[] = [];
  return {
    conversation,
    opened,
    get messages() {
      return messages;
    },
    say: async (question: string, adapter: string | null = null) => {
      messages = [...messages, { role: 'user', content: question }];
      const how = { maxNewTokens: 12, adapter };
      const before = opened.mock.calls.length;
      const text = await textOf(conversation.answer(messages, how));
      const sessions = opened.mock.calls.slice(before).map(([size]) => size);
      expect(text).toBe(await textOf(model.answer(messages, how)));
      messages = [...messages, { role: 'model', content: text }];
      return { text, sessions };
    },
    forget: (change: (messages: ChatMessage[]) => ChatMessage[]) => (messages = change(messages)),
    end: async () => {
      opened.mockRestore();
      await conversation.destroy();
    },
  };
}

test('each turn is answered as if all were read again: adapters change hands, turns are forgotten and rewritten', async () => {
  const { bytes } = gpu.counters;
  const talking = talk();
  const base = { adapter: null, maxLength: 1024, reusesPrefix: true };
  const long = 'The lamp by the river is green, and the stone under it is older than the town. ';
  expect((await talking.say(`${long}Is opal hard?`)).sessions).toEqual([base]);
  for (const question of ['And agate?', `${long}Why?`, 'Which is the oldest?'])
    expect((await talking.say(question)).sessions).toEqual([]);
  // Other weights: nothing of what is there is theirs.
  expect((await talking.say('And now?', 'tuned')).sessions).toEqual([{ ...base, adapter: 'tuned' }]);
  expect((await talking.say('Sure?', 'tuned')).sessions).toEqual([]);
  expect((await talking.say('And without?')).sessions).toEqual([base]);
  // An earlier turn reads otherwise, and the last ones are gone.
  talking.forget((messages) =>
    messages.slice(0, 6).map((message, i) => (i === 2 ? { ...message, content: 'And jade?' } : message)),
  );
  expect((await talking.say('What was that?')).sessions).toEqual([]);
  talking.forget(() => []);
  expect((await talking.say('Who are you?')).sessions).toEqual([]);
  await talking.end();
  expect(gpu.counters.bytes).toBe(bytes);
});

test('what is outgrown is replaced by what is twice as long, the context at most', async () => {
  const talking = talk();
  const longer = (times: number) => talking.say(`${'the stone by the river '.repeat(times)}so?`);
  for (const [times, maxLength] of [
    [70, 1024],
    [180, 2048],
    [300, 4096],
  ] as const)
    expect((await longer(times)).sessions).toEqual([{ adapter: null, maxLength, reusesPrefix: true }]);
  await expect(longer(600)).rejects.toMatchObject({ name: 'ContextLengthError' });
  await talking.end();
}, 60_000);

test('an answer that is left, or fails, is none: the conversation goes on', async () => {
  const talking = talk();
  await talking.say('Is opal hard?');
  const stop = new AbortController();
  const messages: ChatMessage[] = [...talking.messages, { role: 'user', content: 'And agate, which is softer?' }];
  const answer = talking.conversation.answer(messages, { maxNewTokens: 30, signal: stop.signal });
  await answer.next();
  stop.abort(new Error('enough'));
  await expect(textOf(answer)).rejects.toThrow('enough');
  await talking.say('And agate, which is softer?');
  await talking.say('Why?');
  await talking.end();
});
