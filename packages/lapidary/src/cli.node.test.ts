import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DatasetError, DiskFullError, RunFolderExistsError } from '@lapidary/trainer';
import { expect, test } from 'vitest';
import { runCli } from './cli-node.js';
import type { Engine, TrainingPlan } from './engine.js';
import { createStandInEngine } from './testing/stand-in-engine.js';

async function run(args: string[], { input = '', ...overrides }: Partial<Engine> & { input?: string } = {}) {
  const stand = createStandInEngine(overrides);
  let [out, err] = ['', ''];
  const code = await runCli(args, {
    engine: stand.engine,
    version: '1.2.3',
    readInput: async () => input,
    out: (text) => (out += text),
    err: (text) => (err += text),
  });
  return { ...stand, code, out, err };
}
const minimal = ['finetune', '--model', 'gemma', '--data', 'rows.jsonl'];

test('--base-model-name is what the adapter names', async () => {
  const { configs } = await run([...minimal, '--base-model-name', 'google/gemma-3-1b-it']);
  expect(configs[0]?.weightLoader.baseModel).toBe('google/gemma-3-1b-it');
  expect((await run(minimal)).configs[0]?.weightLoader.baseModel).toBeUndefined();
  const { code, err } = await run([...minimal, '--base-model-name', '']);
  expect(code).toBe(1);
  expect(err).toMatch(/--base-model-name: found .*; allowed: a hub id/);
});

test('finetune: options become the config', async () => {
  const { code, configs, out } = await run([
    ...minimal,
    '--steps',
    '20',
    '--learning-rate',
    '1e-3',
    '--rank',
    '4',
    '--targets',
    'qProj, vProj',
    '--layers',
    '0,5',
    '--rslora',
    '--freeze',
    'embedTokens.*,layers.0.**',
    '--eval-data',
    '007',
    '--out',
    'out/x',
    '--clip',
    '0.5',
    '--schedule',
    'linear',
    '--resume',
    '--json',
  ]);
  expect(code).toBe(0);
  expect(configs[0]).toMatchObject({
    data: { source: 'rows.jsonl', format: 'auto' },
    evalData: { source: '007', tooLong: 'error' },
    steps: 20,
    epochs: null,
    outDir: 'out/x',
    resume: true,
    overwrite: false,
    optimizer: { learningRate: 1e-3, clipGradNorm: 0.5, betas: [0.9, 0.95] },
    schedule: { type: 'linear' },
    lora: { rank: 4, targets: ['qProj', 'vProj'], layers: [0, 5], rslora: true, alpha: 16 },
    freeze: ['embedTokens.*', 'layers.0.**'],
    weightLoader: { description: { model: 'gemma' } },
  });
  expect(JSON.parse(out)).toEqual({ name: 'finetune', steps: 3 });
  expect((await run([...minimal, '--full'])).configs[0]?.lora).toBeNull();
});

test('finetune: goes on from an adapter, whose settings no option may change', async () => {
  const { configs } = await run([...minimal, '--adapter', 'first', '--recipe', 'gemma3-270m-lora']);
  expect(configs[0]!.adapter).toMatchObject({ description: 'first' });
  expect(await run([...minimal, '--adapter', 'first', '--rank', '4', '--targets', 'q_proj'])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/--rank: found 4 together.*\n--targets: found .* together with an adapter/) as string,
  });
  expect((await run([...minimal, '--adapter', 'first', '--full'])).err).toMatch(/found null together with an adapter/);
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-cli-'));
  const file = join(folder, 'continued.json');
  await writeFile(file, JSON.stringify({ adapter: 'second', lora: { alpha: 2 } }));
  expect((await run([...minimal, '--config', file])).err).toContain('--alpha: found 2');
  await rm(folder, { recursive: true });
  expect((await run([...minimal, '--adapter', ''])).err).toContain("--adapter: found ''");
});

test('finetune: a config file, with options over it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-cli-'));
  const file = join(folder, 'run.json');
  await writeFile(
    file,
    JSON.stringify({
      model: 'from-file',
      data: { source: 'a.jsonl', format: 'text' },
      lora: { rank: 2, alpha: 3 },
      steps: 9,
    }),
  );
  const { configs } = await run(['finetune', '--config', file, '--rank', '5']);
  expect(configs[0]).toMatchObject({
    steps: 9,
    data: { source: 'a.jsonl', format: 'text' },
    lora: { rank: 5, alpha: 3 },
    weightLoader: { description: { model: 'from-file' } },
  });
  await writeFile(file, '{"steps": ');
  expect(await run(['finetune', '--config', file])).toMatchObject({
    code: 1,
    err: expect.stringContaining('run.json is not JSON') as string,
  });
  await truncate(file, 6e8);
  expect(await run(['finetune', '--config', file])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/run\.json cannot be read: it has 600000000 bytes; at most 67108864 are read/) as string,
  });
  await rm(folder, { recursive: true });
  expect(await run(['finetune', '--config', file])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^error: .*run\.json cannot be read: there is no such file\.\n--config/) as string,
  });
});

test('--quantize is of training and of answers', async () => {
  expect((await run([...minimal, '--quantize', 'q4_0'])).configs[0]?.quantize).toBe('q4_0');
  expect((await run(['generate', '--model', 'm', '007', '--quantize', 'q8_0'])).requests[0]).toMatchObject({
    quantize: 'q8_0',
  });
  for (const command of [minimal, ['chat', '--model', 'm']])
    expect((await run([...command, '--quantize', 'q3'])).err).toContain("--quantize: found 'q3'; allowed: ");
});

test('sizes are read with their units', async () => {
  for (const [text, bytes] of [
    ['6GiB', 6 * 2 ** 30],
    ['1.5 GB', 1.5e9],
    ['800mb', 8e8],
    ['123456', 123_456],
  ] as const)
    expect((await run([...minimal, '--memory-budget', text])).configs[0]?.memoryBudget).toBe(bytes);
  expect((await run([...minimal, '--memory-budget', '6 apples'])).err).toContain("--memory-budget: found '6 apples'");
});

test('every wrong option is named as it was typed', async () => {
  const { code, err, out } = await run([
    ...minimal,
    '--rank',
    'eight',
    '--batch-size',
    '0',
    '--schedule',
    'cosin',
    '--steps',
    '',
  ]);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toBe(`error: --batch-size: found 0; allowed: a whole number, 1 or more
--steps: found ''; allowed: null, or a whole number, 1 or more
--schedule: found 'cosin'; allowed: one of 'constant', 'cosine', 'linear', 'rsqrt'
--rank: found 'eight'; allowed: a whole number from 1 to 4096
`);
  expect((await run([...minimal, '--resume', '--overwrite'])).err).toContain(
    '--resume: found true together with overwrite: true; allowed: one of --resume and --overwrite, not both',
  );
  expect((await run([...minimal, '--full', '--rank', '4'])).err).toContain(
    '--full trains without LoRA, but --rank set it up',
  );
  expect((await run(['finetune'])).err).toContain('--model and --data must be given');
  expect((await run(['finetune', '--stpes', '3'])).err).toMatch(/unknown option '--stpes'\n\(Did you mean --steps\?\)/);
  expect((await run(['finetun'])).err).toContain('Did you mean finetune?');
  expect((await run(['plan', '--model'])).code).toBe(1);
});

test('typed errors: message and hint, exit code 1; with --json as JSON too', async () => {
  const fails = (error: unknown) => ({ runTraining: () => Promise.reject(error) });
  const exists = await run([...minimal, '--json'], fails(new RunFolderExistsError({ location: '/x', entries: ['a'] })));
  expect(exists.code).toBe(1);
  expect(exists.err).toMatch(/^error: The output folder \/x is not empty: a\.\nPass .*--resume.*--overwrite.*\n$/);
  expect(JSON.parse(exists.out)).toMatchObject({
    error: { name: 'RunFolderExistsError', hint: expect.stringContaining('--resume') as string },
  });
  expect((await run(minimal, fails(new DiskFullError({ path: '/x/y', bytes: 10 })))).err).toMatch(
    /^error: No space left to write \/x\/y/,
  );
  const message = "maxLength is 8. Raise maxLength, or set tooLong to 'skip'.";
  expect((await run(minimal, fails(new DatasetError({ file: 'rows.jsonl', line: 3, message })))).err).toBe(
    "error: rows.jsonl:3: maxLength (--max-length) is 8. Raise maxLength, or set tooLong (--too-long) to 'skip'.\n",
  );
});

test('what nobody foresaw: the stack, and exit code 70', async () => {
  for (const bug of [new TypeError('x is undefined'), 'a text']) {
    const { code, err } = await run(minimal, { runTraining: () => Promise.reject(bug) });
    expect(code).toBe(70);
    expect(err).toContain('This is a bug in Lapidary');
    if (bug instanceof Error) expect(err).toContain('cli.node.test.ts');
  }
});

test('plan says what it takes and whether it fits', async () => {
  const { out, err, code } = await run(['plan', '--model', 'm', '--data', 'd']);
  expect(err).toBe('Note: config.json says sinks, which is not known.\n');
  expect(code).toBe(0);
  expect(out).toContain('Parameters     268,098,176\n');
  expect(out).toContain('Weights      512 MiB\nActivations  1.00 GiB\nTogether     1.50 GiB\n');
  expect(out).toContain(
    'Does not fit: the largest buffer takes 1.00 GiB, and the device allows 256 MiB for one.\n  - shorter rows (',
  );
  expect(JSON.parse((await run(['plan', '--model', 'm', '--data', 'd', '--json'])).out)).toMatchObject({
    fits: false,
    totalBytes: 1.5 * 2 ** 30,
  });
  const { planTraining } = createStandInEngine().engine;
  const saying = async (fit: TrainingPlan['fit']) =>
    (
      await run(['plan', '--model', 'm', '--data', 'd'], {
        planTraining: async (config) => ({ ...(await planTraining(config)), fit }),
      })
    ).out;
  const fit = { refused: false, reason: 'because', advice: ['less'] };
  expect(await saying({ ...fit, fits: true })).toMatch(/\n\nFits: because\.\n$/);
  expect(await saying({ ...fit, fits: null })).toMatch(/\n\nMay fit: because\.\n$/);
  expect(await saying(null)).toMatch(/\n\nWhether it fits is not known: there is no adapter here\.\n$/);
  expect(out).not.toContain('Not on the device');
  const onHost = { path: 'rows.weight', bytes: 3 * 2 ** 30 };
  const withTable = await run(['plan', '--model', 'm', '--data', 'd'], {
    planTraining: async (config) => ({ ...(await planTraining(config)), onHost }),
  });
  expect(withTable.out).toContain(
    'Together     1.50 GiB\n\nNot on the device: rows.weight, 3.00 GiB, stays in its file, where the rows of each step are read.\n',
  );
});

test('plan needs no data for a released model by name', async () => {
  const { code, out, configs } = await run(['plan', '--model', 'paligemma-3b-224', '--rank', '16']);
  expect(code).toBe(0);
  expect(configs[0]).toMatchObject({ lora: { rank: 16 } });
  expect(out).not.toContain('Steps');
  expect((await run(['plan', '--model', 'paligemma-3b-225'])).err).toContain('--data must be given');
});

test('profile prints a table of kernels, and writes the page that --out names', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-cli-'));
  const page = join(folder, 'new', 'step.html');
  const asked: unknown[] = [];
  const { profileTraining } = createStandInEngine().engine;
  const args = ['profile', '--model', 'm', '--data', 'd', '--rank', '4', '--keep', '3', '--runs', '5', '--out', page];
  const { code, out, err } = await run(args, {
    profileTraining: (config, options) => {
      asked.push(config.lora?.rank, config.outDir, options?.runs);
      return profileTraining(config, options);
    },
  });
  expect(code, err).toBe(0);
  expect(asked).toEqual([4, 'out', 5]);
  expect(out).toBe(`Device     llvmpipe (vulkan)
Step       4 rows of 64 tokens; 200 of 256 are no padding
Clock      GPU timestamps; median of 3 steps
Ceiling    100 GFLOP/s in registers; 10.0 GB/s copying, 10.0 of 128 MiB
Step time  90.0 ms as training runs it, 110.0 ms with every kernel timed

op         kernel             variant  calls   GPU ms   share  GFLOP/s  GB/s  of ceiling
matmul     matmul/matmul      vec 8x8      2   80.000   80.0%     25.0  2.50       25.0%
fused add  elementwise/fused  vec4         1   20.000   20.0%           10.0      100.0%
all                                        3  100.000  100.0%     20.0  4.00       40.0%
`);
  expect(err).toBe(`Profiling …\nNote: 2 rows were cut.\nThe timeline is in ${page}\n`);
  expect(await readFile(page, 'utf8')).toMatch(/^<!doctype html>[\s\S]*fused add · elementwise\/fused/);
  const json = await run([...args, '--json']);
  expect(JSON.parse(json.out)).toMatchObject({ clock: 'gpu', stepMs: 90, kernels: [{ calls: 2 }, { calls: 1 }] });
  await rm(folder, { recursive: true });
});

test('profile: what it cannot use is told, and nothing is measured', async () => {
  const wrong = async (...args: string[]) => {
    const { code, err, configs } = await run(['profile', '--model', 'm', ...args]);
    expect({ code, configs }).toEqual({ code: 1, configs: [] });
    return err;
  };
  expect(await wrong()).toContain('--data must be given');
  expect(await wrong('--data', 'd', '--runs', '0')).toContain("--runs: found '0'; allowed: a whole number, 1 or more");
  expect(await wrong('--data', 'd', '--out', 'run1')).toContain(
    '--out run1 is no name of a page.\nprofile writes no run',
  );
  expect(await wrong('--data', 'd', '--rank', '0')).toContain('--rank: found 0');
});

test('tune prints what was chosen, and from which times', async () => {
  const asked: unknown[] = [];
  const { tuneTraining } = createStandInEngine().engine;
  const args = ['tune', '--model', 'm', '--data', 'd', '--rank', '4', '--kernel-tuning', 'never'];
  const { code, out, err } = await run([...args, '--again'], {
    tuneTraining: (config, options) => {
      asked.push(config.lora?.rank, config.kernelTuning, options?.again);
      return tuneTraining(config, options);
    },
  });
  expect(code, err).toBe(0);
  expect(asked).toEqual([4, 'never', true]);
  expect(out).toBe(`Device   gpu (vulkan)
Kept in  /cache/kernels

product               chosen       by rule       from      workgroup128 ms  workgroup64 ms  sliced ms
512x2048x640 nt bf16  workgroup64  workgroup128  measured            0.200           0.150${' '.repeat(11)}
8x640x2048 tn f32     sliced                     kept${' '.repeat(43)}0.020
`);
  expect(err).toBe('Choosing kernels …\n');
  expect(JSON.parse((await run([...args, '--json'])).out)).toMatchObject({ keptIn: '/cache/kernels' });
  expect((await run(['tune', '--model', 'm', '--data', 'd', '--kernel-tuning', 'often'])).err).toContain(
    "--kernel-tuning: found 'often'; allowed: one of 'auto', 'always', 'never'",
  );
});

test('inspect', async () => {
  const { out } = await run(['inspect', 'gemma.gguf', '--tensors']);
  expect(out).toContain('q8_0        1 tensors, 24 B\n');
  expect(out).toContain('token_embd.weight  q8_0  [2, 3]  24 B\n');
  expect(JSON.parse((await run(['inspect', 'gemma.gguf', '--json'])).out)).toMatchObject({ family: 'gemma3' });
});

test('inspect tells what there is of a model that cannot be used, and ends with the error', async () => {
  const problem = new DatasetError({ file: 'model.safetensors', message: '3 parameters have no weights' });
  const inspectModel = async () => ({ ...(await createStandInEngine().engine.inspectModel('m')), problem });
  const { code, out, err } = await run(['inspect', 'm'], { inspectModel });
  expect(out).toContain('Parameters  10\n');
  expect([code, err]).toEqual([1, 'error: model.safetensors: 3 parameters have no weights\n']);
  const json = await run(['inspect', 'm', '--json'], { inspectModel });
  const [found, error] = json.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(found).toMatchObject({ family: 'gemma3', parameters: 10 });
  expect(error).toMatchObject({ error: { name: 'DatasetError' } });
  expect(json.code).toBe(1);
});

test('generate: text as it comes, prompts as they are, wrong options together', async () => {
  const told = await run(['generate', '--model', 'm', '007', '--stop', 'a', '--stop', 'b', '--top-p', '0.9']);
  expect(told).toMatchObject({ code: 0, out: 'Amber.\n', err: '2 tokens, 4.0 a second\n' });
  expect(told.requests[0]).toEqual({
    model: 'm',
    adapter: null,
    best: false,
    prompts: [{ prompt: '007', images: [] }],
    samples: 1,
    rows: 4,
    chat: null,
    maxTokens: 256,
    temperature: 0,
    topK: 0,
    topP: 0.9,
    minP: 0,
    repetitionPenalty: 1,
    stop: ['a', 'b'],
    seed: 42,
  });
  expect((await run(['generate', '--model', 'm', '--raw', '--json'], { input: 'piped\n' })).requests[0]).toMatchObject({
    prompts: [{ prompt: 'piped', images: [] }],
    chat: false,
  });
  expect(JSON.parse((await run(['generate', '--model', 'm', 'x', '--json'])).out)).toEqual({
    index: 0,
    sample: 0,
    seed: 42,
    text: 'Amber.',
    promptTokens: 5,
    tokens: 2,
    stoppedBy: 'stop',
    seconds: 0.5,
    prompt: 'x',
  });
  const best = ['generate', '--model', 'm', 'x', '--best'];
  expect((await run([...best, '--adapter', 'run'])).requests[0]).toMatchObject({ adapter: 'run', best: true });
  expect((await run(best)).err).toContain('--best needs --adapter');
  expect((await run(['generate', '--model', 'm'])).err).toContain('The prompt is empty');
  expect((await run(['generate', '--model', 'm', 'x', '--raw', '--chat'])).err).toContain('one of --raw and --chat');
  const flags = { 'top-k': '-1', temperature: 'hot', 'top-p': '2', 'min-p': '1.5', 'repetition-penalty': '0' };
  const typed = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const wrong = await run(['generate', '--model', 'm', 'x', ...typed]);
  expect(wrong.code).toBe(1);
  for (const flag of Object.keys(flags)) expect(wrong.err).toContain(`--${flag}: found `);
  const right = await run(['generate', '--model', 'm', 'x', '--min-p', '0.1', '--repetition-penalty', '1.2']);
  expect(right.requests[0]).toMatchObject({ minP: 0.1, repetitionPenalty: 1.2 });
});

test('generate: many prompts and several answers, under what they answer, or an object a line', async () => {
  const many = ['generate', '--model', 'm', '--n', '2', '--seed', '7', '--image', 'a.png'];
  const told = await run([...many, '--prompts', 'some.txt', '--rows', '3']);
  expect(told.out).toBe('1.1 One?\nAmber.\n\n1.2 One?\nAmber.\n\n2.1 Two?\nAmber.\n\n2.2 Two?\nAmber.\n\n');
  expect(told.err).toMatch(/^4 answers, 8 tokens, [\d.]+ a second\n$/);
  expect(told.requests[0]).toMatchObject({ prompts: [{ images: ['a.png'] }, {}], samples: 2, rows: 3, seed: 7 });
  const input = '{"prompt": "Why?"}\n{"messages": [{"role": "user", "content": "a\\n  b"}]}\n';
  const json = await run([...many, '--prompts', '-', '--json'], { input });
  const lines = json.out.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { index: 0, sample: 0, seed: 7, prompt: 'Why?', text: 'Amber.' },
    { index: 0, sample: 1, seed: 8 },
    { index: 1, sample: 0, seed: 7, prompt: [{ role: 'user', content: 'a\n  b' }] },
    { index: 1, sample: 1, seed: 8 },
  ]);
  expect((await run([...many, '--prompts', '-'], { input })).out).toContain('2.1 a b\nAmber.\n');
  expect((await run([...many, '--prompts', '-'], { input: 'a\r\n\n b\n' })).requests[0]!.prompts).toMatchObject([
    { prompt: 'a' },
    { prompt: ' b' },
  ]);
  expect((await run([...many, '--prompts', '-'], { input: '\n' })).err).toContain('there are no prompts');
  expect((await run([...many, '--prompts', 'some.txt', 'x'])).err).toContain('one of a prompt and --prompts');
  expect((await run([...many, 'x', '--n', '0', '--rows', 'x'])).err).toMatch(/--n: found .*--rows: found /s);
});

test.each([
  ['completion', false, 'rows {prompt, completion}: the prompt is continued as it stands (--chat'],
  ['text', false, 'rows {text}: the prompt is continued as it stands (--chat'],
  ['messages', true, 'rows {messages}: the prompt goes into the chat template (--raw'],
  ['mixed', true, 'rows of several forms: the prompt goes into the chat template (--raw'],
  [
    undefined,
    null,
    'what it was trained on is not known: the prompt goes into the chat template if the model came with one',
  ],
])('generate with an adapter of %s rows: prompts as in training, and which is told', async (rows, chat, told) => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-cli-'));
  try {
    if (rows) await writeFile(join(folder, 'run.json'), JSON.stringify({ format: 'lapidary-run-1', config: {}, rows }));
    const args = ['generate', '--model', 'm', '--adapter', folder, 'Hello'];
    const { requests, err } = await run(args);
    expect(requests[0]).toMatchObject({ chat });
    expect(err).toContain(told);
    for (const [flag, value] of [
      ['--raw', false],
      ['--chat', true],
    ] as const) {
      const given = await run([...args, flag]);
      expect(given.requests[0]).toMatchObject({ chat: value });
      expect(given.err).toBe('2 tokens, 4.0 a second\n');
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('functions of a file are offered, through the chat template; what is no list of functions is refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-tools-'));
  const file = join(folder, 'tools.json');
  const ask = (...args: string[]) => run(['generate', '--model', 'm', 'x', '--tools', file, ...args]);
  try {
    const tools = [{ type: 'function', function: { name: 'light', parameters: { type: 'object' } } }];
    await writeFile(file, JSON.stringify(tools));
    expect((await ask()).requests[0]).toMatchObject({ tools, chat: true });
    expect((await ask('--raw')).err).toContain('--tools needs the chat template');
    for (const [text, message] of [
      ['{', /--tools .*tools\.json cannot be read/],
      ['[]', /holds no functions/],
      ['[{"name": "light"}]', /holds no functions \(at 0\.function\)/],
      ['[{"function": {"name": ""}}]', /\(at 0\.function\.name\)/],
    ] as const) {
      await writeFile(file, text);
      const { code, err } = await ask();
      expect(code).toBe(1);
      expect(err).toMatch(message);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('eval: base beside adapters in a table, as JSON, and as a page', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-cli-'));
  try {
    const args = [
      'eval',
      '--model',
      'm',
      '--adapter',
      'runs/tuned/',
      '--adapter',
      'b=runs/tuned',
      '--data',
      'rows.jsonl',
    ];
    const page = join(folder, 'new/eval.html');
    const told = await run([...args, '--batch-size', '2', '--prompt-key', 'q', '--split', 'test', '--out', page]);
    expect(told.code).toBe(0);
    expect(told.evaluations).toMatchObject([
      {
        model: 'm',
        adapters: { tuned: 'runs/tuned/', b: 'runs/tuned' },
        data: { source: 'rows.jsonl', promptKey: 'q', split: 'test' },
        batchSize: 2,
        maxTokens: 64,
      },
    ]);
    expect(told.out.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['base', 'tuned'],
      ['Perplexity', '7.3891', '2.7183'],
      ['Loss, nats a token', '2.0000', '1.0000'],
      ['Exact match', '0.0% (0 of 2)', '50.0% (1 of 2)'],
      ['Seconds', '1.5', '1.5'],
      [''],
    ]);
    expect(told.err.split('\n')).toEqual([
      'Note: config.json says sinks, which is not known.',
      'Scoring rows (base), 2 …',
      'Note: 1 row was cut.',
      `The answers are in ${page}`,
      '',
    ]);
    expect(await readFile(page, 'utf8')).toContain('The stone is');
    const json = JSON.parse((await run([...args, '--json'])).out) as unknown;
    expect(json).toMatchObject({ variants: [{ name: 'base' }, { exactMatch: { right: 1, rows: 2 } }] });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.each([
  [[], /--model must be given/],
  [['--model', 'm'], /--data must be given/],
  [
    ['--model', 'm', '--data', 'd', '--batch-size', '0', '--max-tokens', 'x'],
    /--batch-size: found .*\n--max-tokens: found /,
  ],
  [['--model', 'm', '--data', 'd', '--out', 'folder'], /--out folder is no name of a page/],
  [['--model', 'm', '--data', 'd', '--adapter', 'a/x', '--adapter', 'b/x'], /--adapter b\/x: another is called x/],
  [['--model', 'm', '--data', 'd', '--adapter', 'base'], /base is the model by itself/],
])('eval refuses %j', async (args, message) => {
  const { code, err, evaluations } = await run(['eval', ...args]);
  expect(code).toBe(1);
  expect(err).toMatch(message);
  expect(evaluations).toEqual([]);
});

test.each([
  ['finetun', '--help'],
  ['finetun', '-h'],
  ['help', 'finetun'],
])('help of a command that there is not is an error that names the nearest: %s %s', async (...args) => {
  const { out, err, code } = await run(args);
  expect(code).toBe(1);
  expect(out).toBe('');
  expect(err).toMatch(/unknown command 'finetun'[\s\S]*finetune/);
});

test.each(['0x10', '1_000', '', 'Infinity', '1e999', '2e'])('%j is no number', async (text) => {
  for (const args of [
    [...minimal, '--learning-rate', text],
    [...minimal, '--rank-pattern', `qProj=${text}`],
    ['generate', 'a', '--model', 'gemma', '--temperature', text],
    ['profile', '--model', 'gemma', '--data', 'rows.jsonl', '--runs', text],
  ]) {
    const { code, err } = await run(args);
    expect(code, err).toBe(1);
    expect(err).toMatch(/number/);
  }
});

test('help and version', async () => {
  expect(await run([])).toMatchObject({ code: 0, out: expect.stringContaining('finetune') as string });
  expect(await run(['--version'])).toMatchObject({ code: 0, out: '1.2.3\n' });
  const { out, code } = await run(['finetune', '--help']);
  expect(code).toBe(0);
  for (const text of ['What is trained:', '--gradient-checkpointing', 'Examples:', 'exit code 130'])
    expect(out).toContain(text);
});

test.each(['stops', 'hangs'])('Ctrl-C: a run that %s ends with 130', async (kind) => {
  const script = fileURLToPath(new URL('./testing/interrupted-cli-node.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=lapidary-source', script, kind]);
  let err = '';
  child.stdout.once('data', () => child.kill('SIGINT'));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    // Not at once: what comes twice within a moment was sent once.
    if (kind === 'hangs' && text.includes('Stopping as soon as')) setTimeout(() => child.kill('SIGINT'), 700);
  });
  expect(await new Promise((resolve) => child.once('exit', resolve)), err).toBe(130);
  expect(err).toContain('Ctrl-C again stops at once');
  expect(err.includes('stopped after step 7; checkpoints/step-00000007.json is saved')).toBe(kind === 'stops');
  expect(err).not.toContain('error:');
});

const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

test.each([
  ['{"model": {"toString": 1}, "data": {"source": "d"}}', /--model: found an object with toString; allowed: a path/],
  ['{"model": null, "data": {"source": "d"}}', /--model: found null/],
  ['{"model": "", "data": {"source": "d"}}', /--model: found ''/],
  ['{"model": "m", "data": {"toString": 1}}', /--data/],
  ['{"model": "m", "data": {"source": "d"}, "steps": {"valueOf": null}}', /--steps: found an object with valueOf/],
  [`{"model": "m", "data": {"source": "d"}, "freeze": ${deep}}`, /nest deeper/],
  [`{"model": ${deep}, "data": {"source": "d"}}`, /nest deeper/],
  [`{"model": "m", "data": {"source": ${deep}}}`, /nest deeper/],
])('a config of wrong kinds is an error of its writer (case %#)', async (text, message) => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-config-'));
  await writeFile(join(folder, 'config.json'), text);
  const { code, err, configs } = await run(['finetune', '--config', join(folder, 'config.json')]);
  await rm(folder, { recursive: true });
  expect(err).toMatch(message);
  expect(code).toBe(1);
  expect(configs).toEqual([]);
});

test('export: the newest checkpoint of a folder, or one by its file; --out must be given', async () => {
  const asked: unknown[] = [];
  const exported: Engine['export'] = async (request) => {
    asked.push(request);
    return {
      step: request.step === 'best' ? 8 : (request.step ?? 12),
      files: ['adapter_config.json'],
      notices: ['One was passed over.'],
    };
  };
  const { code, out, err } = await run(['export', 'runs/first', '--out', 'a'], { export: exported });
  expect([code, out, err]).toEqual([0, 'Checkpoint 12 is in a: adapter_config.json\n', 'Note: One was passed over.\n']);
  const file = 'checkpoints/step-00000007';
  for (const at of [`run/${file}.json`, `run/${file}`, `run/${file}.0a1b2c3d.safetensors`, `${file}.json`])
    await run(['export', at, '--out', 'a', '--model', 'm', '--json'], { export: exported });
  expect(asked).toEqual([
    { run: 'runs/first', step: null, out: 'a', model: null, form: { to: 'result' } },
    ...['run', 'run', 'run', '.'].map((folder) => ({
      run: folder,
      step: 7,
      out: 'a',
      model: 'm',
      form: { to: 'result' },
    })),
  ]);
  const best = await run(['export', 'runs/first', '--best', '--out', 'a', '--json'], { export: exported });
  expect([JSON.parse(best.out), asked.at(-1)]).toEqual([
    { step: 8, files: ['adapter_config.json'], out: 'a' },
    { run: 'runs/first', step: 'best', out: 'a', model: null, form: { to: 'result' } },
  ]);
  const both = await run(['export', `run/${file}.json`, '--best', '--out', 'a'], { export: exported });
  expect([both.code, both.err]).toEqual([1, expect.stringContaining('--best takes a run') as string]);
  const refused = await run(['export', 'runs/first'], { export: exported });
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('--out must be given') as string]);
});

test('export: forms and their options', async () => {
  const asked: unknown[] = [];
  const exported: Engine['export'] = async (request) => {
    asked.push(request);
    return { step: null, files: ['x'], notices: [] };
  };
  const place = { run: 'r', step: null, model: null };
  const cases: readonly (readonly [readonly string[], object])[] = [
    [['merged', '--out', 'a'], { out: 'a', form: { to: 'merged', dtype: undefined, shardBytes: 5e9 } }],
    [
      ['merged', '--out', 'a', '--dtype', 'float16', '--shard-size', '2MiB'],
      { out: 'a', form: { to: 'merged', dtype: 'f16', shardBytes: 2 ** 21 } },
    ],
    [['gguf', '--out', 'a/b/m.gguf'], { out: 'a/b', form: { to: 'gguf', file: 'm.gguf', quant: 'q8_0' } }],
    [['gguf', '--out', 'm.gguf', '--quant', 'q4_0'], { out: '.', form: { to: 'gguf', file: 'm.gguf', quant: 'q4_0' } }],
    [['gguf', '--out', 'a\\b\\m.gguf'], { out: 'a\\b', form: { to: 'gguf', file: 'm.gguf', quant: 'q8_0' } }],
    [['gguf-lora', '--out', '/m.gguf'], { out: '/', form: { to: 'gguf-lora', file: 'm.gguf', type: 'f32' } }],
  ];
  for (const [flags, expected] of cases) {
    const { code, out } = await run(['export', 'r', '--to', ...flags], { export: exported });
    expect([code, out]).toEqual([0, `r with its base is in ${flags[2]}: x\n`]);
    expect(asked.pop()).toEqual({ ...place, ...expected });
  }
  const refusals: readonly (readonly [readonly string[], RegExp])[] = [
    [['--to', 'onnx', '--out', 'a'], /--to: found 'onnx'; allowed: adapter, merged, gguf, gguf-lora, trl/],
    [['--to', 'merged', '--out', 'a', '--dtype', 'int8'], /--dtype: found 'int8'/],
    [['--to', 'merged', '--out', 'a', '--shard-size', '5 apples'], /--shard-size: found '5 apples'/],
    [['--to', 'merged', '--out', 'a', '--quant', 'q8_0'], /--quant: .* only with --to gguf or gguf-lora/],
    [['--out', 'a', '--dtype', 'float32'], /--dtype: .* only with --to merged/],
    [['--to', 'gguf', '--out', 'folder'], /--out: found 'folder'; allowed: a file that ends in \.gguf/],
    [['--to', 'gguf', '--out', 'm.gguf', '--quant', 'q5_k'], /--quant: found 'q5_k'/],
    [['--to', 'gguf-lora', '--out', 'm.gguf', '--quant', 'q8_0'], /--quant: found 'q8_0'; allowed: f32, f16, bf16/],
    [['--to', 'trl', '--out', 'a', '--dtype', 'float32'], /--dtype: .* only with --to merged/],
    [['--to', 'gguf'], /--out must be given/],
    [['--to', 'trl'], /--out must be given/],
  ];
  for (const [flags, message] of refusals) {
    const { code, err } = await run(['export', 'r', ...flags], { export: exported });
    expect(err).toMatch(message);
    expect(code).toBe(1);
  }
  expect(asked).toEqual([]);
});

test('export: a run for TRL, from its beginning or from a checkpoint, and how it is trained there', async () => {
  const asked: unknown[] = [];
  const exported: Engine['export'] = async (request) => {
    asked.push(request);
    return { step: request.step === 8 ? 8 : 0, files: ['train.py'], notices: [] };
  };
  const args = ['--to', 'trl', '--out', 'a'];
  const whole = await run(['export', 'r', ...args], { export: exported });
  expect(whole.out).toBe(
    'The run, from its beginning on, is in a: train.py\nTrain it there with: accelerate launch train.py\n',
  );
  expect(asked).toEqual([{ run: 'r', step: null, model: null, out: 'a', form: { to: 'trl' } }]);
  const rest = await run(['export', 'r/checkpoints/step-00000008.json', ...args], { export: exported });
  expect(rest.out).toContain('The run, from step 8 on, is in a');
  const json = await run(['export', 'r', ...args, '--json'], { export: exported });
  expect(JSON.parse(json.out)).toEqual({ step: 0, files: ['train.py'], out: 'a' });
});

test('what is secret in an address is in no error, as text or as JSON', async () => {
  const url = 'https://me:SECRET@example.com/model.gguf?token=SECRET';
  const inspectModel = () =>
    Promise.reject(new DatasetError({ file: 'x', message: `hf_SECRETSECRETSECRET for ${url}` }));
  for (const json of [[], ['--json']]) {
    const { code, out, err } = await run(['inspect', url, ...json], { inspectModel });
    expect(code).toBe(1);
    expect(out + err).toContain('https://example.com/model.gguf');
    expect(out + err).not.toContain('SECRET');
  }
});

test('data: counts and rows, as JSON, as a page', async () => {
  const args = ['data', '--model', 'gemma', '--data', 'rows.csv', '--prompt-key', 'q', '--loss-on', 'last'];
  const { code, out, err, configs } = await run(args);
  expect(code).toBe(0);
  expect(configs[0]?.data).toMatchObject({ source: 'rows.csv', promptKey: 'q', lossOn: 'last' });
  expect(out).toContain('To learn from  1,234 rows');
  expect(out).toMatch(/min 3, median 4\.5, p95 5, max 6/);
  expect(out).toContain('1 row of more than 5 tokens: cut, 1 tokens of them');
  // No colour where there is no terminal, and nothing of a row steers one.
  expect(out).not.toContain('\u001b');
  expect(out).toContain('<bos>|Hi⏎\n|⟦\\x1b[31m<b>|水⟧|✂<eos>✂');
  expect(err).toContain('Note: rows.jsonl: name one with --split.');

  const folder = await mkdtemp(join(tmpdir(), 'lapidary-'));
  const page = await run([...args, '--json', '--out', join(folder, 'data.html')]);
  expect(JSON.parse(page.out)).toMatchObject({ train: { rows: 1234, duplicates: 2 }, maxLength: 5 });
  expect(await readFile(join(folder, 'data.html'), 'utf8')).toContain('&#60;b&#62;');
  await rm(folder, { recursive: true });

  expect(await run([...args, '--out', 'folder'])).toMatchObject({ code: 1 });
  expect((await run([...args, '--rows', 'x'])).err).toMatch(/--rows: found .*a whole number, 0 or more/);
  expect((await run(['data', '--help'])).out).toMatch(/Examples:[\s\S]*lapidary data --model/);
});
