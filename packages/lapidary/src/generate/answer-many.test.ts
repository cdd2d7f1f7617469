// Answers that are made at once, against those of one question by itself.
import type { ChatMessage } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { modelWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adapterSources, chatModelSources } from '../../../../test/support/fixture-sources.js';
import type { AnswerOptions } from '../answer-session.js';
import type { Question } from '../encode-question.js';
import { TextModel } from '../text-model.js';
import { answerMany, type ManyAnswer, type ManyOptions } from './answer-many.js';

let gpu: Gpu;
let model: TextModel;
beforeAll(async () => {
  gpu = await openGpu();
  const tuned = await adapterSources('evaluation/adapter');
  model = await TextModel.open(modelWeightLoader({ from: await chatModelSources() }), { gpu, adapters: { tuned } });
});
afterAll(() => {
  model.destroy();
  gpu.destroy();
});

const chat: readonly ChatMessage[] = [{ role: 'user', content: 'Is opal hard?' }];
const questions: readonly Question[] = ['The lamp', chat, 'The stone by the river is', 'A', 'So'];
const many = (options: ManyOptions, asked = questions) =>
  answerMany(
    model,
    asked.map((question) => ({ question, images: 0, readImages: async () => [] })),
    { maxNewTokens: 10, ...options },
  );

async function alone(question: Question, options: AnswerOptions & { readonly adapter?: string | null } = {}) {
  let text = '';
  for await (const part of model.answer(question, { maxNewTokens: 10, ...options })) text += part;
  return text;
}

test.each([1, 3, 8])('with %i rows each is letter for letter what it is by itself, in order', async (rows) => {
  const { bytes } = gpu.counters;
  const told: ManyAnswer[] = [];
  const texts: string[] = [];
  const onText = (text: string, place: number) => (texts[place] = (texts[place] ?? '') + text);
  const found = await many({ rows, onText, onAnswer: (answer) => told.push(answer) });
  for (const [i, question] of questions.entries()) expect(found[i]!.text).toBe(await alone(question));
  expect(found.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
  expect(told).toEqual(found);
  expect(texts).toEqual(found.map(({ text }) => text));
  expect(gpu.counters.bytes).toBe(bytes);
  const [tuned] = await many({ rows, adapter: 'tuned' }, [chat]);
  expect(tuned!.text).toBe(await alone(chat, { adapter: 'tuned' }));
});

test('a sample is drawn with a seed of its own: the same whatever is made beside it', async () => {
  const drawn = { temperature: 1.5, seed: 11, samples: 4 };
  const found = await many({ ...drawn, rows: 3 });
  expect(found.map(({ index, sample, seed }) => [index, sample, seed])).toEqual(
    questions.flatMap((_, i) => [0, 1, 2, 3].map((j) => [i, j, 11 + j])),
  );
  expect(new Set(found.slice(0, 4).map(({ text }) => text)).size).toBeGreaterThan(1);
  // Others beside it, in another order, fewer of them; and by itself, with its seed.
  const turned = await many({ ...drawn, rows: 3 }, questions.toReversed());
  const few = await many({ ...drawn, rows: 2, samples: 2 }, [questions[2]!]);
  for (const { index, sample, seed, text } of found) {
    expect(turned[(4 - index) * 4 + sample]!.text).toBe(text);
    if (index === 2 && sample < 2) expect(few[sample]!.text).toBe(text);
    if (sample === 1) expect(await alone(questions[index]!, { temperature: 1.5, seed })).toBe(text);
  }
});

test('what has no room is told by its number before anything is answered; one that fails ends all', async () => {
  const told: unknown[] = [];
  const onAnswer = (answer: ManyAnswer) => told.push(answer);
  const long = 'the stone by the river '.repeat(60);
  await expect(many({ onAnswer }, ['a', long])).rejects.toThrow(/prompt 2 has \d+ tokens.*context of 128/);
  expect(told).toEqual([]);
  const { bytes } = gpu.counters;
  const failing = { question: 'b', images: 0, readImages: () => Promise.reject(new Error('no such file')) };
  const right = { question: 'a', images: 0, readImages: async () => [] };
  const all = [right, failing, ...Array.from({ length: 20 }, () => right)];
  await expect(answerMany(model, all, { rows: 2, onAnswer })).rejects.toThrow('no such file');
  expect(told.length).toBeLessThan(3);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(many({ signal })).rejects.toThrow('enough');
  expect(gpu.counters.bytes).toBe(bytes);
});
