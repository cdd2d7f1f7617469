import { expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.js';
import { readText } from '../store/file-store.js';
import { formatBytes, formatNumber, formatSeconds } from '../format/format.js';
import { RunRecordsError } from '../errors/errors.js';
import { combineLoggers } from './logger.js';
import { createMetricsLogger, readMetrics, readSamples } from './metrics-file.js';
import { createRunRecorder } from './record-run.js';
import { exampleRun } from './testing/example-run.js';

const run = exampleRun(20);

test('a line a step, then the summary', async () => {
  const store = createMemoryStore();
  const recorder = createRunRecorder();
  const logger = combineLoggers(createMetricsLogger(store), recorder);
  await logger.onStart(run.start);
  for (const step of run.steps) await logger.onStep(step);
  expect(await store.list('summary.json')).toEqual([]);
  await logger.onEnd(run.summary);
  const lines = (await readText(store, 'metrics.jsonl')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(run.steps);
  expect(JSON.parse(await readText(store, 'summary.json'))).toEqual(run.summary);
  expect(recorder.recording).toMatchObject({ steps: run.steps, summary: run.summary, start: run.start });
});

test('a resumed run cuts the file back to its step, and a line cut short goes', async () => {
  const store = createMemoryStore();
  await store.write(
    'metrics.jsonl',
    run.steps
      .slice(0, 12)
      .map((step) => `${JSON.stringify(step)}\n`)
      .join('') + '{"step":13,"lo',
  );
  await store.write('summary.json', '{}');
  expect((await readMetrics(store)).length).toBe(12);
  const [before] = run.samples;
  for (const step of [0, 11]) await store.append('samples.jsonl', `${JSON.stringify({ ...before, step })}\n`);
  const recorder = createRunRecorder({ steps: await readMetrics(store), samples: await readSamples(store) });
  const logger = combineLoggers(createMetricsLogger(store), recorder);
  await logger.onStart({ ...run.start, startStep: 10, baseEvalLoss: 3 });
  for (const step of run.steps.slice(10)) await logger.onStep(step);
  await logger.onSample(run.samples.at(-1)!);
  expect(await readSamples(store)).toEqual([{ ...before, step: 0 }, run.samples.at(-1)]);
  expect(recorder.recording.samples).toEqual(await readSamples(store));
  expect(recorder.recording.evals[0]).toMatchObject({ step: 0, loss: 3 });
  expect(await readMetrics(store)).toEqual(run.steps);
  expect(recorder.recording.steps).toEqual(run.steps);
  expect(await store.list('summary.json')).toEqual([]);
  // A run from the start begins an empty file.
  await logger.onStart(run.start);
  expect(await readMetrics(store)).toEqual([]);
  expect(await readSamples(store)).toEqual([]);
});

const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

test.each([
  ['null\n', 1],
  ['3\n', 1],
  ['[]\n', 1],
  ['{"step":null}\n', 1],
  ['{"step":"1","loss":{}}\n', 1],
  [`${JSON.stringify(run.steps[0])}\nnull\n${JSON.stringify(run.steps[1])}\n`, 2],
  [`${JSON.stringify(run.steps[0])}\n{"step":2,"lo\n${JSON.stringify(run.steps[1])}\n`, 2],
  [`{"step":1,"more":${deep}}\n`, 1],
])('a line that is no record is refused by file and line (case %#)', async (text, line) => {
  const store = createMemoryStore();
  for (const [file, read] of [
    ['metrics.jsonl', readMetrics],
    ['samples.jsonl', readSamples],
  ] as const) {
    const samples = text.replaceAll(/\{"step":\d+,"epoch.*\}/g, JSON.stringify(run.samples[0]));
    await store.write(file, file === 'metrics.jsonl' ? text : samples);
    const error = await read(store).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(RunRecordsError);
    expect((error as RunRecordsError).message).toContain(`${file}:${line} in memory: cannot be used: `);
  }
});

test('what a line was cut short to, or filled up with, is left out', async () => {
  const store = createMemoryStore();
  for (const end of ['', '{"st', '\0\0\0\0', ' ']) {
    await store.write('metrics.jsonl', `${JSON.stringify(run.steps[0])}\n${end}`);
    expect(await readMetrics(store)).toEqual([run.steps[0]]);
  }
});

test('numbers for people', () => {
  expect([0, 1023, 1536, 20 * 2 ** 20, 5.5 * 2 ** 30].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.50 KiB',
    '20.0 MiB',
    '5.50 GiB',
  ]);
  expect([3.14, 59.4, 185, 3599.7, 7620, 270_000, Infinity].map(formatSeconds)).toEqual([
    '3.1 s',
    '59 s',
    '3 min 05 s',
    '1 h 00 min',
    '2 h 07 min',
    '3 d 3 h',
    '–',
  ]);
  expect([0, 2.31449, 0.0342, 2e-4, 1450.2, NaN].map(formatNumber)).toEqual([
    '0',
    '2.314',
    '0.0342',
    '2.00e-4',
    '1450',
    'NaN',
  ]);
});

test.each([
  ['metrics.jsonl', 'null', /metrics\.jsonl:2 in memory: cannot be used: the line/],
  ['metrics.jsonl', '{"step":"1"}', /metrics\.jsonl:2 .*step/],
  ['metrics.jsonl', '{"step":1.5,"loss":1}', /metrics\.jsonl:2 .*step/],
  ['metrics.jsonl', '{"step":2,"lo', /metrics\.jsonl:2 .*is no JSON/],
  ['metrics.jsonl', '['.repeat(5000) + ']'.repeat(5000), /metrics\.jsonl:2 .*is no JSON/],
  ['samples.jsonl', '{"step":1,"id":"a","prompt":"b","answer":5,"expected":null}', /samples\.jsonl:2 .*answer/],
  ['samples.jsonl', '[]', /samples\.jsonl:2 /],
])('a line of %s that is none: %s', async (file, line, message) => {
  const store = createMemoryStore();
  const good = JSON.stringify(file === 'metrics.jsonl' ? run.steps[0] : run.samples[0]);
  await store.write(file, `${good}\n${line}\n${good}\n`);
  const reading = file === 'metrics.jsonl' ? readMetrics(store) : readSamples(store);
  await expect(reading).rejects.toThrow(message);
  await expect(reading).rejects.toBeInstanceOf(RunRecordsError);
});
