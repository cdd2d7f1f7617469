// Measures of rows, against what transformers and PEFT compute on the same rows (test/fixtures/make_evaluation.py).
import { openGpu, type Gpu } from '@lapidary/gpu';
import { DatasetError } from '@lapidary/trainer';
import { evaluationTable, renderEvaluation } from '@lapidary/trainer/report';
import { modelWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterSources, chatModelSources } from '../../../../test/support/fixture-sources.js';
import { fixtureBytes, fixtureJson } from '../../../../test/support/safetensors-fixture.js';
import { TextModel } from '../text-model.js';
import { parseEvalRow } from './eval-rows.js';
import { evaluateModel } from './evaluate-model.js';

interface Expected {
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  readonly answers: readonly string[];
  readonly choices: readonly (readonly number[])[];
}

let gpu: Gpu;
let model: TextModel;
let rows: object[];
beforeAll(async () => {
  gpu = await openGpu();
  const adapters = { tuned: await adapterSources('evaluation/adapter') };
  model = await TextModel.open(modelWeightLoader({ from: await chatModelSources() }), { gpu, adapters });
  const text = new TextDecoder().decode(await fixtureBytes('evaluation/rows.jsonl'));
  rows = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
});
afterAll(() => {
  model.destroy();
  gpu.destroy();
});

const named = { model: 'tiny', data: 'rows.jsonl' };

describe('an evaluation', () => {
  it.each([1, 4])('measures what transformers measures, of base and adapter, %i rows at once', async (batchSize) => {
    const expected = await fixtureJson<{ maxNewTokens: number; base: Expected; tuned: Expected }>(
      'evaluation/expected.json',
    );
    const phases = new Set<string>();
    const { bytes } = gpu.counters;
    const found = await evaluateModel(
      model,
      { source: rows, named },
      { batchSize, maxTokens: expected.maxNewTokens, onProgress: ({ name }) => phases.add(name) },
    );
    expect(gpu.counters.bytes).toBe(bytes);
    expect(found.variants.map(({ name }) => name)).toEqual(['base', 'tuned']);
    for (const [i, name] of (['base', 'tuned'] as const).entries()) {
      const { perplexity } = found.variants[i]!;
      expect(perplexity).toMatchObject({ tokens: expected[name].tokens, rows: 6 });
      expect(Math.abs(perplexity!.value / expected[name].perplexity - 1)).toBeLessThan(1e-4);
      expect(Math.abs(perplexity!.loss - expected[name].loss)).toBeLessThan(1e-5);
      expect(found.answers.map(({ answers }) => answers[i]!.text)).toEqual(expected[name].answers);
      for (const [q, { scores }] of found.choices.entries())
        scores[i]!.logProbabilities.forEach((p, c) => expect(p).toBeCloseTo(expected[name].choices[q]![c]!, 3));
    }
    const [base, tuned] = found.variants;
    expect(base).toMatchObject({ exactMatch: { right: 0, rows: 5 }, choiceAccuracy: { right: 1, rows: 3 } });
    expect(tuned).toMatchObject({ exactMatch: { right: 3, rows: 5 }, choiceAccuracy: { right: 2, rows: 3 } });
    // By length: base −61/16, −54/12, −18/6; −75/33, −60/14; −21/3, −68/16, −98/36.
    expect(base!.choiceAccuracyByLength).toEqual({ right: 1, rows: 3 });
    expect(found.choices[2]).toMatchObject({ line: 9, answer: 2, scores: [{ chosen: 0 }, { chosen: 1 }] });
    expect([...phases]).toEqual(
      ['base', 'tuned'].flatMap((name) => [`Scoring rows (${name})`, `Answering prompts (${name})`]),
    );
  });

  it('is a table and a page, of what there is', async () => {
    const choices = await evaluateModel(model, { source: rows.slice(6), named });
    expect(choices.variants[0]).toMatchObject({ perplexity: null, exactMatch: null });
    expect(evaluationTable(choices).map(([label]) => label)).toEqual(['', 'Choices', 'Choices, by length', 'Seconds']);
    const tricky = { prompt: '<b>bold</b> & more', completion: '</div><script>' };
    const texts = await evaluateModel(model, { source: [tricky], named }, { maxTokens: 2 });
    expect(texts.variants[0]!.choiceAccuracy).toBeNull();
    expect(evaluationTable(texts)[1]![0]).toBe('Perplexity');
    const page = renderEvaluation(texts);
    expect(page).toContain('&#60;b&#62;bold&#60;/b&#62; &#38; more');
    expect(page).not.toContain('<script>');
    expect(renderEvaluation(choices)).toContain('<h2>Choices</h2>');
  });

  it('reads rows under names of their own', async () => {
    const renamed = rows.slice(0, 2).map((row) => {
      const { prompt, completion } = row as { prompt: string; completion: string };
      return { question: prompt, reply: completion };
    });
    const data = { promptKey: 'question', completionKey: 'reply' };
    const found = await evaluateModel(model, { source: renamed, ...data, named }, { maxTokens: 8 });
    expect(found.answers.map(({ expected }) => expected)).toEqual([' smooth and grey', ' A small bead.']);
    expect(found.variants[1]).toMatchObject({ exactMatch: { right: 2, rows: 2 } });
    await expect(evaluateModel(model, { source: renamed, named })).rejects.toThrow(DatasetError);
  });

  it('ends by its signal, and leaves nothing', async () => {
    const stop = new AbortController();
    const { bytes } = gpu.counters;
    const going = evaluateModel(
      model,
      { source: rows, named },
      { signal: stop.signal, batchSize: 2, onProgress: ({ name }) => name.startsWith('Ans') && stop.abort() },
    );
    await expect(going).rejects.toThrow(/abort/i);
    expect(gpu.counters.bytes).toBe(bytes);
  });
});

describe('rows with choices', () => {
  const right = { prompt: '2 + 2 =', choices: ['4', '42'], answer: 1 };
  it.each([
    [{ ...right, choices: ['4'] }, /:3: field 'choices'.*at least 2/],
    [{ ...right, choices: ['4', ''] }, /'choices'.*none of them empty/],
    [{ ...right, choices: ['4', '4'] }, /'choices': two of them are the same/],
    [{ ...right, choices: 'A' }, /'choices'/],
    [{ ...right, answer: 2 }, /'answer'.*0 to 1\); it is 2/],
    [{ ...right, answer: '5' }, /'answer'.*it is "5"/],
    [{ ...right, answer: undefined }, /'answer'/],
    [{ ...right, answer: 0.5 }, /'answer'/],
    [{ ...right, prompt: 3 }, /'prompt'/],
    [{ ...right, image: 7 }, /'image'/],
  ])('that are wrong are refused by line and field: %o', (row, message) => {
    expect(() => parseEvalRow(row, 'rows.jsonl', 3)).toThrow(DatasetError);
    expect(() => parseEvalRow(row, 'rows.jsonl', 3)).toThrow(message);
  });

  it('take the answer as a text or an index, and pictures as training does', () => {
    expect(parseEvalRow(right, 'f', 1)).toMatchObject({ answer: 1 });
    expect(parseEvalRow({ ...right, answer: '4' }, 'f', 1)).toMatchObject({ answer: 0 });
    expect(parseEvalRow({ ...right, image: 'a.png' }, 'f', 1)).toMatchObject({
      options: [
        { prompt: '2 + 2 =', completion: '4', image: 'a.png', line: 1 },
        { completion: '42', image: 'a.png' },
      ],
    });
    expect(parseEvalRow({ text: 'plain' }, 'f', 1)).toEqual({ text: 'plain', line: 1 });
  });
});
