import { expect, test } from 'vitest';
import { RunFileError, RunRecordsError } from '../errors/errors.js';
import { combineLoggers } from '../metrics/logger.js';
import { createMetricsLogger } from '../metrics/metrics-file.js';
import { exampleRun } from '../metrics/testing/example-run.js';
import { createMemoryStore } from '../store/memory-store.js';
import { readRun } from './read-run.js';
import { compareRuns, renderComparison } from './render-comparison.js';
import { renderReport } from './render-report.js';

const run = exampleRun(60);
const withAccuracy = run.evals.map((record) => ({ ...record, metrics: { accuracy: record.step / 100 } }));

/** A folder as a run leaves it. */
async function folderOf(config: Record<string, unknown> = {}) {
  const store = createMemoryStore();
  const logger = combineLoggers(createMetricsLogger(store));
  const start = {
    ...run.start,
    lossIsCrossEntropy: true,
    config: { ...run.start.config, ...config },
  } as typeof run.start;
  await store.write('run.json', JSON.stringify({ format: 'lapidary-run-1', config: start.config }));
  await logger.onStart(start);
  for (const record of withAccuracy) await logger.onEval(record);
  for (const step of run.steps) await logger.onStep(step);
  for (const sample of run.samples) await logger.onSample(sample);
  await logger.onEnd({ ...run.summary, name: String(start.config['name']) });
  return store;
}

test('a run is what its files tell, and its report is made anew', async () => {
  const found = await readRun(await folderOf());
  expect(found).toMatchObject({ steps: run.steps, evals: withAccuracy, samples: run.samples, summary: run.summary });
  const page = renderReport(found);
  expect(page).toContain('Perplexity');
  expect(page).toContain('accuracy');
  expect(page.match(/<figure/g)).toHaveLength(4);
  // Of another loss than a cross-entropy there is none.
  expect(renderReport({ ...found, start: { ...run.start, lossIsCrossEntropy: false } })).not.toContain('Perplexity');
});

test('runs of earlier versions kept less; one that has not ended neither', async () => {
  const store = await folderOf();
  for (const name of ['start.json', 'evals.jsonl']) await store.remove(name);
  const found = await readRun(store);
  expect(found.start).toBeNull();
  expect(found.evals.map(({ step, loss }) => [step, loss])).toEqual(run.evals.map(({ step, loss }) => [step, loss]));
  await store.remove('summary.json');
  expect((await readRun(store)).evals).toHaveLength(run.evals.length - 1);
  expect(renderComparison([await readRun(store), await readRun(store)])).not.toMatch(/NaN|undefined|\[object/);
});

test('runs side by side: numbers, settings that differ, answers to the same rows', async () => {
  const [first, second] = [await readRun(await folderOf()), await readRun(await folderOf({ name: 'other', seed: 7 }))];
  const other = { ...second, samples: [{ ...run.samples[1]!, answer: '<b>other</b>' }] };
  const found = compareRuns([first, other]);
  expect(found.names).toEqual(['gems', 'other']);
  expect(found.settings).toEqual([['seed', '42', '7']]);
  expect(found.summary).toContainEqual(['Steps', '60', '60']);
  expect(found.answers).toEqual([
    {
      prompt: run.samples[1]!.prompt,
      expected: run.samples[1]!.expected,
      answers: [run.samples[1]!.answer, '<b>other</b>'],
    },
  ]);
  const page = renderComparison([first, other]);
  expect(page).not.toContain('<b>other');
  expect(page).not.toMatch(/<link|<img|https?:|NaN|undefined/);
  expect(page.match(/<figure/g)).toHaveLength(4);
});

test.each([
  ['run.json', null, RunFileError, 'is not there'],
  ['start.json', '{"config":', RunRecordsError, 'start.json:1 in memory: cannot be used: is no JSON'],
  ['start.json', '{"config":3}', RunRecordsError, 'start.json:1 in memory: cannot be used: config'],
  ['summary.json', '[]', RunRecordsError, 'summary.json:1 in memory: cannot be used'],
  ['evals.jsonl', '{"step":-1}\n', RunRecordsError, 'evals.jsonl:1 in memory: cannot be used: step'],
])('%s that is %s is refused by name', async (name, text, type, message) => {
  const store = await folderOf();
  if (text === null) await store.remove(name);
  else await store.write(name, text);
  const error = await readRun(store).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(type);
  expect((error as Error).message).toContain(message);
});
