import { bufferSource } from '@lapidary/weights';
import { expect, test } from 'vitest';
import { readPrompts } from './read-prompts.js';

const read = (name: string, text: string, isNamed = true) =>
  readPrompts(bufferSource(name, new TextEncoder().encode(text)), { isNamed });

test('a .txt has one a line, whatever the lines look like', async () => {
  expect(await read('a.txt', '{"prompt": "a"}\r\n\n  b \nc')).toEqual(
    ['{"prompt": "a"}', '  b ', 'c'].map((prompt) => ({ prompt, images: [] })),
  );
});

test('what has no name is rows where it begins as JSON', async () => {
  expect(await read('standard input', ' {"prompt": "a"}\n{"prompt": "b"}', false)).toEqual(
    ['a', 'b'].map((prompt) => ({ prompt, images: [] })),
  );
  expect(await read('standard input', 'a, b\nc', false)).toEqual(
    ['a, b', 'c'].map((prompt) => ({ prompt, images: [] })),
  );
});

test('rows are those of training: what they were to be answered with is left out', async () => {
  const user = { role: 'user', content: 'Why?' };
  const model = { role: 'assistant', content: 'So.' };
  const rows = [
    { prompt: 'a', completion: 'b', image: 'a.png', images: ['b.png'], id: 3 },
    { prompt: [user, model, user], completion: [model] },
    { messages: [user, model, user, model] },
    { instruction: 'Say', output: 'yes' },
  ];
  expect(await read('a.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))).toEqual([
    { prompt: 'a', images: ['a.png', 'b.png'] },
    { prompt: [user, { ...model, weight: 0 }, user], images: [] },
    { prompt: [user, model, user], images: [] },
    { prompt: 'Say', images: [] },
  ]);
  expect(await read('a.csv', 'prompt,completion\n"a, b",c\n')).toEqual([{ prompt: 'a, b', images: [] }]);
});

test.each([
  ['a.jsonl', '{"text": "a"}', /a\.jsonl:1: a prompt is a row with 'prompt', or 'messages'/],
  ['a.jsonl', '{"prompt": "a"}\n{"prompt": ""}', /a\.jsonl:2: field 'prompt': must not be empty/],
  ['a.jsonl', '{"prompt": 3}', /a\.jsonl:1: field 'prompt'/],
  ['a.jsonl', '{"messages": [{"role": "model", "content": "x"}]}', /nobody but the model says anything/],
  ['a.jsonl', '{"messages": [{"role": "user", "content": "x"}], "tools": [{}]}', /tools/],
  ['a.jsonl', '', /there are no prompts/],
  ['a.txt', ' \n\n', /there are no prompts/],
])('%s with %j is refused', async (name, text, message) => {
  await expect(read(name, text)).rejects.toThrow(message);
});
