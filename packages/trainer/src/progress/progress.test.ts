import { expect, test } from 'vitest';
import { exampleRun } from '../metrics/testing/example-run.js';
import { formatProgressLine } from './progress-line.js';
import { createProgressLogger } from './progress-logger.js';

const run = exampleRun(200);
const record = run.steps[59]!;
const state = { totalSteps: 200, record, evalLoss: 2.0104, secondsLeft: 125 };

test('everything on a wide line', () => {
  const line = formatProgressLine(state, 160);
  expect(line).toMatch(
    /^step {2}60\/200 ▕█{8}▍ {19}▏ {2}30% {2}loss \d\.\d{3} {2}eval 2\.010 {2}lr 1\.\d\de-4 {2}grad 0\.\d+ {2}\d{4} tok\/s {2}212 MiB {2}2 min 05 s left$/,
  );
});

test.each([20, 30, 45, 60, 79, 100, 119])('fits in %i columns and keeps the loss', (columns) => {
  const line = formatProgressLine(state, columns);
  expect(line.length).toBeLessThanOrEqual(columns);
  if (columns >= 30) expect(line).toContain('loss ');
  if (columns >= 79) expect(line).toContain('left');
});

/** What a terminal shows, from what was written: \r\x1b[2K empties the line it is in. */
function screen(isInteractive: boolean) {
  const lines = [''];
  let time = 0;
  const write = (text: string) => {
    for (const part of text.split(/(\r\x1b\[2K|\n)/)) {
      if (part === '\n') lines.push('');
      else if (part === '\r\x1b[2K') lines[lines.length - 1] = '';
      else lines[lines.length - 1] += part;
    }
  };
  return {
    logger: createProgressLogger({ write, isInteractive, columns: () => 100, now: () => time }),
    pass: (ms: number) => (time += ms),
    lines: () => lines,
  };
}

function play(isInteractive: boolean, msPerStep: number) {
  const shown = screen(isInteractive);
  const { logger } = shown;
  void logger.onPhase?.({ name: 'Loading weights', done: 1, total: 2 });
  void logger.onStart?.(run.start);
  void logger.onEval?.(run.evals[0]!);
  void logger.onSample?.(run.samples[0]!);
  for (const step of run.steps) {
    shown.pass(msPerStep);
    void logger.onStep?.(step);
    if (step.step === 100) void logger.onNotice?.('something happened');
  }
  void logger.onEnd?.(run.summary);
  return shown.lines();
}

test('what an objective measures beside its loss is told with each evaluation', () => {
  const shown = screen(false);
  const metrics = { 'rewards/accuracy': 0.75, 'rewards/margin': -0.5 };
  void shown.logger.onEval?.({ ...run.evals[0]!, step: 0, loss: 0.7, rows: 8, metrics });
  void shown.logger.onEval?.({ ...run.evals[0]!, step: 20, loss: 0.6, rows: 8, metrics });
  void shown.logger.onEval?.({ ...run.evals[0]!, step: 40 });
  const more = 'rewards/accuracy 0.750, rewards/margin -0.500';
  expect(shown.lines()).toEqual([
    `Base model: eval loss 0.700 on 8 rows, ${more}`,
    `After step 20: eval loss 0.600, ${more}`,
    '',
  ]);
});

test.each([
  [200, 200, 'The last step has the lowest eval loss, and is what was exported'],
  [
    60,
    200,
    'The lowest eval loss is 0.500, after step 60; exported was the last step, 200. That one: lapidary export out/gems --best --out <folder>',
  ],
  [60, 60, 'The lowest eval loss is 0.500, after step 60, which is what was exported'],
])('the end says which step was best (%i) and which was exported (%i)', (step, exportedStep, line) => {
  const shown = screen(false);
  void shown.logger.onEnd?.({ ...run.summary, steps: 200, best: { step, loss: 0.5 }, exportedStep });
  expect(shown.lines()).toContain(line);
});

/** Answers of some steps, each of as many rows as there are letters: r right, w wrong, u unknown to the data. */
function answer(steps: Readonly<Record<number, string>>): string[] {
  const shown = screen(false);
  for (const [step, rows] of Object.entries(steps))
    for (const [i, row] of [...rows].entries()) {
      const sample = { step: Number(step), id: `line ${i}`, prompt: `asked ${i}`, answer: row === 'w' ? 'no' : ' yes' };
      void shown.logger.onSample?.({ ...sample, expected: row === 'u' ? null : ' yes' });
    }
  void shown.logger.onEnd?.(run.summary);
  return shown.lines();
}

test.each([
  ['0 of 3 → 2 of 3', { 0: 'www', 60: 'rrw' }],
  ['1 of 2 → 2 of 2', { 0: 'rw', 20: 'ww', 40: 'rr' }],
  ['0 of 2 → 1 of 2', { 0: 'wwu', 60: 'urw' }],
  // A run that goes on has no answers from before.
  ['2 of 2', { 60: 'rr' }],
])('counts the answers that are right to the letter: %s', (counts, steps) => {
  expect(answer(steps)).toContain(`Held-out answers right to the letter: ${counts}`);
});

test('counts no answers where the data know none', () => {
  expect(answer({ 0: 'uu', 60: 'uu' }).join()).not.toContain('right to the letter');
  expect(answer({}).join()).not.toContain('right to the letter');
});

test('shows four answers of a step, and says where the others are', () => {
  const lines = answer({ 0: 'w'.repeat(24), 60: 'r'.repeat(24) });
  expect(lines.filter((line) => line.includes('│ asked'))).toHaveLength(8);
  expect(lines.filter((line) => line === '  … more are in samples.jsonl')).toHaveLength(2);
  expect(lines).toContain('Held-out answers right to the letter: 0 of 24 → 24 of 24');
  expect(answer({ 0: 'wwww' }).join()).not.toContain('more are in');
});

test('a terminal shows one living line, with what stays above it', () => {
  const lines = play(true, 500);
  expect(lines.filter((line) => line.startsWith('step ')).length).toBe(1);
  expect(lines.find((line) => line.startsWith('step '))).toContain('200/200');
  expect(lines).toContain('Note: something happened');
  expect(lines.join('\n')).not.toContain('Loading');
  expect(lines).toContain('Model: models/gemma3-mini, 4.01 M parameters, 393,216 trained (9.8%)');
  expect(lines.find((line) => line.startsWith('Eval loss'))).toMatch(/Eval loss 3\.420 → 1\.26\d \(−63%\)/);
  expect(lines.join('\n')).toContain(
    'before │ What colour is amber?\n         │ → What colour is the the the of a the',
  );
});

test('a log has the first step, the last, those with an evaluation, and one every ten seconds', () => {
  const steps = (ms: number) =>
    play(false, ms)
      .filter((line) => line.startsWith('step '))
      .map((line) => Number(/\d+/.exec(line)));
  expect(steps(1)).toEqual([1, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200]);
  expect(steps(2000)).toEqual(expect.arrayContaining([1, 6, 11, 16, 20, 25, 200]));
  expect(play(false, 1).join('')).not.toMatch(/[\r\x1b▕]/);
});

test('a line of a log holds only what is new', () => {
  const shown = screen(false);
  const { logger } = shown;
  for (const done of [1, 2, 3]) void logger.onPhase?.({ name: 'Loading weights', done, total: 9 });
  shown.pass(11_000);
  void logger.onPhase?.({ name: 'Loading weights', done: 6, total: 9 });
  void logger.onPhase?.({ name: 'Loading weights', done: 7, total: 9 });
  for (let i = 0; i < 2; i++) void logger.onPhase?.({ name: 'Compiling' });
  for (let i = 0; i < 2; i++) void logger.onNotice?.('Rows were cut.');
  expect(shown.lines()).toEqual([
    'Loading weights …',
    'Loading weights … 66%',
    'Compiling …',
    'Note: Rows were cut.',
    '',
  ]);
  void logger.onStart?.(run.start);
  const from = shown.lines().length - 1;
  const steps = run.steps.slice(0, 4).map((step, i) => ({ ...step, evalLoss: i === 1 ? 2.5 : null }));
  steps[3] = { ...steps[3]!, evalLoss: 2.25, peakBytes: 2 ** 30 };
  for (const step of steps) {
    shown.pass(11_000);
    if (step.step === 4) void logger.onEval?.({ step: 4, loss: 2.25, rows: 8, seconds: 1, metrics: { accuracy: 0.5 } });
    void logger.onStep?.(step);
  }
  const lines = shown.lines().slice(from, -1);
  expect(lines.map((line) => /eval[ a-z]*[\d.]+/.exec(line)?.[0])).toEqual([
    undefined,
    'eval 2.500',
    undefined,
    'eval loss 2.250',
    undefined,
  ]);
  expect(lines.map((line) => /[\d.]+ [MG]iB/.exec(line)?.[0])).toEqual([
    '212 MiB',
    undefined,
    undefined,
    undefined,
    '1.00 GiB',
  ]);
});

test('the time left comes from the steps after the first', () => {
  const shown = screen(true);
  void shown.logger.onStart?.(run.start);
  for (const [index, ms] of [60_000, 1000, 1000].entries()) {
    shown.pass(ms);
    void shown.logger.onStep?.(run.steps[index]!);
    expect(shown.lines().at(-1)?.includes('left')).toBe(index > 0);
  }
  expect(shown.lines().at(-1)).toContain('3 min 17 s left');
});

test('how far reading is: drawn again in a terminal, now and then in a log', () => {
  const told = (isInteractive: boolean) => {
    const shown = screen(isInteractive);
    for (let done = 0; done <= 100; done++) {
      const detail = `${done * 10} rows`;
      void shown.logger.onPhase?.({ name: 'Reading rows', done, total: 100, detail });
      shown.pass(200);
    }
    return shown.lines();
  };
  expect(told(true)).toEqual(['Reading rows … 100% (1000 rows)']);
  expect(told(false)).toEqual([
    'Reading rows …',
    'Reading rows … 50% (500 rows)',
    'Reading rows … 100% (1000 rows)',
    '',
  ]);
});
