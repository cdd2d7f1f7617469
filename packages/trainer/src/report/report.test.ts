import { expect, test } from 'vitest';
import { exampleRun } from '../metrics/testing/example-run.js';
import { readText } from '../store/file-store.js';
import { createMemoryStore } from '../store/memory-store.js';
import { createMetricsLogger } from '../metrics/metrics-file.js';
import { combineLoggers } from '../metrics/logger.js';
import { createReportLogger } from './report-logger.js';
import { renderLossChart } from './loss-chart.js';
import { renderReport } from './render-report.js';
import { smooth, thin, type Point } from './thin.js';

const run = exampleRun(200);

test('the page asks for nothing from outside', () => {
  const page = renderReport(run);
  expect(page).not.toMatch(/<link|<img|<iframe|@import|url\(|\ssrc=|https?:|fetch\(|import\(/i);
  expect(page.length).toBeLessThan(200_000);
});

test('everything told is there', () => {
  const page = renderReport(run);
  for (const text of [
    '−63.1% from 3.420',
    'Amber ranges from pale yellow',
    'Optimizer state',
    '59.5 MiB',
    'lora.rank',
    'gateProj',
    'llvmpipe',
    'safetensors (BF16)',
    '393,216 (9.8%)',
    '2 rows without an answer',
    'Node 20.20.0',
  ]) {
    expect(page).toContain(text);
  }
  expect(page.match(/<figure/g)).toHaveLength(3);
  expect(page.match(/<circle class="dot b"/g)).toHaveLength(22); // 11 evaluations, in the narrow drawing and in the wide one
});

test('text of users and models cannot become markup', () => {
  const evil = `</style></script><script>alert(1)</script><img src=x onerror="alert(2)">'`;
  const page = renderReport({
    ...run,
    start: {
      ...run.start,
      config: { name: evil, [evil]: evil, list: [evil] },
      adapter: { ...run.start.adapter, device: evil },
      load: { ...run.start.load!, source: evil, unused: [evil] },
      memory: [{ category: evil, bytes: 1 }],
    },
    summary: { ...run.summary, name: evil, adapter: { ...run.summary.adapter, device: evil } },
    samples: [{ step: 0, id: evil, prompt: evil, answer: evil, expected: evil }],
    notices: [evil],
  });
  expect(page).not.toMatch(/<script>alert|<img/);
  expect(page.match(/<\/script>/g)).toHaveLength(1);
  expect(page.match(/<\/style>/g)).toHaveLength(1);
  expect(page).toContain('&#60;script&#62;alert(1)');
});

test('a run without steps, evaluations or summary still makes a page; so do odd numbers', () => {
  const nothing = renderReport({ start: null, steps: [], evals: [], samples: [], notices: [], summary: null });
  expect(nothing).toContain('Nothing was recorded');
  const odd = {
    ...run,
    steps: [
      { ...run.steps[0]!, loss: NaN, gradNorm: Infinity },
      { ...run.steps[1]!, loss: 2, learningRate: 0 },
    ],
    evals: [],
  };
  for (const page of [nothing, renderReport(odd), renderReport({ ...run, steps: [run.steps[0]!] })]) {
    expect(page.replace(/<script>[\s\S]*<\/script>/, '')).not.toMatch(/NaN|Infinity|undefined|\[object/);
  }
});

test('long runs keep their peaks in few points', () => {
  const points = Array.from({ length: 30_000 }, (_, x): Point => [x, x === 12_345 ? 99 : Math.sin(x)]);
  const thinned = thin(points, 600);
  expect(thinned.length).toBeLessThanOrEqual(602);
  expect(thinned).toContainEqual([12_345, 99]);
  expect(thinned.every(([x], index) => index === 0 || x > thinned[index - 1]![0])).toBe(true);
  expect(thinned.at(-1)).toEqual(points.at(-1));
  expect(
    smooth(
      [
        [0, 3],
        [1, 3],
        [2, 9],
        [3, 3],
        [4, 3],
      ],
      3,
    )[2],
  ).toEqual([2, 5]);
});

test('the report of a resumed run shows all of it; a failed run has one too', async () => {
  const store = createMemoryStore();
  for (const [from, to] of [
    [0, 120],
    [100, 200],
  ] as const) {
    const logger = combineLoggers(await createReportLogger(store), createMetricsLogger(store));
    await logger.onStart({ ...run.start, startStep: from });
    for (const step of run.steps.slice(from, to)) await logger.onStep(step);
    if (to === 200) await logger.onEnd(run.summary);
    else await logger.onFail(new Error('the loss is NaN'));
    const page = await readText(store, 'report.html');
    expect(page.includes('the loss is NaN')).toBe(to === 120);
    const data = JSON.parse(/data-chart="([^"]*)"/.exec(page)![1]!.replaceAll('&#34;', '"')) as {
      series: { points: Point[] }[];
    };
    expect(data.series[0]!.points.map(([step]) => step)).toEqual(Array.from({ length: to }, (_, index) => index + 1));
  }
});

test('a chart names no line that has no points yet', () => {
  const { markup } = renderLossChart({ steps: [], evals: run.evals.slice(0, 1) });
  expect(markup).toContain('evaluation');
  expect(markup).not.toMatch(/training|NaN/);
});

test('pictures stand beside the answers, with the boxes that these name', () => {
  const pictures = ['data:image/png;base64,AAAA'];
  const sample = { step: 0, id: 'line 1', prompt: 'detect cat', answer: 'none', expected: null, pictures };
  const answer = '<loc0000><loc0000><loc0512><loc1023> c<t';
  const report = renderReport({ ...run, samples: [sample, { ...sample, step: 5, answer }] });
  expect(report.match(/<img src="data:image\/png;base64,AAAA"/g)).toHaveLength(2);
  expect(report.match(/<svg preserveAspectRatio="none"[^>]*>/g)).toHaveLength(1);
  expect(report).toContain('c&lt;t</text>');
});
