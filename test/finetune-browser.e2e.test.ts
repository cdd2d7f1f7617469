// The page that fine-tunes in a browser, driven as a person would, in headless Chromium.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StepRecord } from '@lapidary/trainer';
import { build } from 'esbuild';
import { unzipSync } from 'fflate';
import type { BrowserContext, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterLogits, type Files } from './support/adapter-logits.js';
import { startFakeHub } from './support/fake-hub-node.js';
import {
  hasChromium,
  openExamplePage,
  setSettings,
  startExamplePage,
  untilRunIs,
  type ExamplePage,
} from './support/example-page-node.js';
import { relativeError } from './support/relative-error.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const axe = createRequire(import.meta.url).resolve('axe-core');
const base = here('../examples/finetune/base');
const modelFiles = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const minutes = 60_000;

let example: ExamplePage;
beforeAll(async () => {
  if (hasChromium) example = await startExamplePage();
}, 2 * minutes);
afterAll(() => example?.close());

const newContext = () => example.browser.newContext({ viewport: { width: 1100, height: 900 } });

/** Lets a test at the device of the worker. */
const rememberDevice = `
  const requestDevice = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    return (self.lastDevice = await requestDevice.apply(this, args));
  }`;

/** What a driver's reset does. */
const loseDevice = (page: Page) =>
  page.workers()[0]!.evaluate(() => (self as unknown as { lastDevice: GPUDevice }).lastDevice.destroy());

async function expectAccessible(page: Page): Promise<void> {
  const isThere = await page.evaluate(() => 'axe' in window);
  if (!isThere) await page.evaluate(await readFile(axe, 'utf8'));
  const violations = await page.evaluate(async () => {
    const { violations } = await (window as unknown as { axe: typeof import('axe-core') }).axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
  });
  expect(violations).toEqual([]);
}

/** How long the page takes to hear of a key: printed, since no test is timed. */
async function keyDelays(page: Page): Promise<string> {
  await page.evaluate(() => {
    const delays: number[] = [];
    Object.assign(window, { delays });
    addEventListener('keydown', (event) => delays.push(performance.now() - event.timeStamp), true);
  });
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    await page.waitForTimeout(50);
  }
  const delays = await page.evaluate(() => (window as unknown as { delays: number[] }).delays);
  const sorted = delays.sort((a, b) => a - b);
  return `median ${sorted[sorted.length >> 1]!.toFixed(1)} ms, longest ${sorted.at(-1)!.toFixed(1)} ms of ${sorted.length}`;
}

/** The points of a curve of the chart on the page. */
async function curveOf(page: Page, name: string): Promise<(readonly [step: number, loss: number])[]> {
  const chart = await page.getByTestId('loss-chart').locator('figure').getAttribute('data-chart');
  const { series } = JSON.parse(chart!) as { series: { name: string; points: [number, number][] }[] };
  return series.find((one) => one.name === name)!.points;
}

/** What the page offers for download, file by file. */
async function downloadedFiles(page: Page): Promise<Files> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download adapter' }).click(),
  ]);
  return unzipSync(new Uint8Array(await readFile(await download.path())));
}

const textOf = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const stepsOf = (metrics: string) =>
  metrics
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as StepRecord);

/** The first steps of the same run in Node, on the same kind of adapter as the browser's: SwiftShader. */
async function firstStepsInNode(count: number): Promise<StepRecord[]> {
  const out = await mkdtemp(join(tmpdir(), 'lapidary-node-run-'));
  const imports = [import.meta.resolve('tsx'), new URL('setup/on-swiftshader.ts', import.meta.url).href];
  const args = [...imports.flatMap((file) => ['--import', file]), '--conditions=lapidary-source'];
  const child = spawn(process.execPath, [
    ...args,
    here('../examples/finetune/main.ts'),
    '--sample-count',
    '0',
    '--out',
    out,
    '--overwrite',
  ]);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const metrics = () => readFile(join(out, 'metrics.jsonl'), 'utf8').catch(() => '');
  const watch = setInterval(async () => {
    if ((await metrics()).split('\n').length > count) child.kill();
  }, 500);
  try {
    await new Promise((resolve) => child.on('close', resolve));
    const steps = stepsOf(await metrics());
    expect(steps.length, output).toBeGreaterThanOrEqual(count);
    return steps.slice(0, count);
  } finally {
    clearInterval(watch);
    await rm(out, { recursive: true, force: true });
  }
}

/** What a model with an adapter says next, computed in the browser by the packages. */
async function logitsInBrowser(
  context: BrowserContext,
  model: Files,
  adapter: Files,
  prompt: string,
): Promise<Float32Array> {
  const { outputFiles } = await build({
    entryPoints: [here('support/adapter-logits.ts')],
    bundle: true,
    format: 'iife',
    globalName: 'adapterLogitsModule',
    conditions: ['lapidary-source', 'browser'],
    write: false,
    target: 'es2022',
    logLevel: 'error',
  });
  const { page } = await openExamplePage(context, example.url);
  await page.evaluate(`${outputFiles[0]!.text}; window.adapterLogitsModule = adapterLogitsModule; undefined`);
  const toBase64 = (files: Files) =>
    Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')] as const);
  const logits = await page.evaluate(
    async ([modelFiles, adapterFiles, asked]) => {
      const fromBase64 = async (entries: readonly (readonly [string, string])[]) =>
        Object.fromEntries(
          entries.map(([name, text]) => [name, Uint8Array.from(atob(text), (c) => c.charCodeAt(0))] as const),
        );
      const { adapterLogits: compute } = (
        window as unknown as { adapterLogitsModule: { adapterLogits: typeof adapterLogits } }
      ).adapterLogitsModule;
      return [...(await compute(await fromBase64(modelFiles), await fromBase64(adapterFiles), asked))];
    },
    [toBase64(model), toBase64(adapter), prompt] as const,
  );
  await page.close();
  return Float32Array.from(logits);
}

describe.skipIf(!hasChromium)('the page', () => {
  it('fine-tunes the small model, and what it learned is the same in Node', { timeout: 10 * minutes }, async () => {
    const inNode = firstStepsInNode(20);
    const context = await newContext();
    const { page, errors, elsewhere } = await openExamplePage(context, example.url);
    await expect.poll(() => page.getByTestId('fit').textContent(), { timeout: minutes }).toMatch(/fit/i);
    expect(await page.getByTestId('plan-facts').textContent()).toContain('60 steps over 216 rows');
    // SwiftShader has none, and the run goes on all the same.
    expect(await page.getByTestId('device').textContent()).toContain('has no shader-f16');
    await expectAccessible(page);

    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await page.getByText(/Step [1-9]\d? of 60/).waitFor({ timeout: 3 * minutes });
    await expectAccessible(page);
    console.log(`from key to page while it trains: ${await keyDelays(page)}`);
    await untilRunIs(page, 'Done', 6 * minutes);

    const training = await curveOf(page, 'training');
    const evaluation = await curveOf(page, 'evaluation');
    expect(training.at(-1)![1]).toBeLessThan(0.2 * training[0]![1]);
    expect(evaluation.at(-1)![1]).toBeLessThan(0.1 * evaluation[0]![1]);
    // The chart answers to the pointer.
    const chart = page.getByTestId('loss-chart');
    await chart.locator('svg:visible').hover();
    expect(await chart.locator('output').textContent()).toMatch(/^step \d+training \d/);

    const samples = page.getByRole('article');
    expect(await samples.count()).toBe(4);
    expect(await samples.first().textContent()).toMatch(
      /Before.*After 60 steps.*apple: 5, pear: 2.*Wanted.*apple: 5, pear: 2/s,
    );

    const counted = /Exactly right: (\d+) of 24 before, (\d+) of 24 after 60 steps/.exec(
      (await page.getByTestId('right-answers').textContent())!,
    );
    expect(Number(counted?.[1])).toBeLessThanOrEqual(1);
    expect(Number(counted?.[2])).toBeGreaterThanOrEqual(23);
    const figures = await page.locator('.figures').textContent();
    expect(figures).toMatch(/Perplexity.*1\.0\d+ from \d+.*Tokens guessed right(100\.0|9\d\.\d) %/s);

    await page.getByRole('button', { name: 'Answer' }).click();
    await expect
      .poll(() => page.getByTestId('answer').textContent(), { timeout: minutes })
      .toMatch(/apple: 5, pear: 2/);
    await expectAccessible(page);

    const files = await downloadedFiles(page);
    expect(Object.keys(files).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'metrics.jsonl',
      'report.html',
      'summary.json',
    ]);
    const inBrowser = stepsOf(textOf(files['metrics.jsonl']));
    const reference = await inNode;
    expect(inBrowser.length).toBe(60);
    const apart = reference.map(({ loss }, i) => Math.abs(loss - inBrowser[i]!.loss) / loss);
    console.log(`largest relative difference of a loss in 20 steps, browser and Node: ${Math.max(...apart)}`);
    expect(Math.max(...apart)).toBeLessThanOrEqual(1e-4);

    const model = Object.fromEntries(
      await Promise.all(
        modelFiles.map(async (name) => [name, new Uint8Array(await readFile(join(base, name)))] as const),
      ),
    );
    const { 'adapter_config.json': config, 'adapter_model.safetensors': weights } = files;
    const adapter: Files = { 'adapter_config.json': config!, 'adapter_model.safetensors': weights! };
    const prompt = 'I would like five apples and two pears.\nList:';
    const there = await logitsInBrowser(context, model, adapter, prompt);
    const difference = relativeError(await adapterLogits(model, adapter, prompt), there);
    console.log(`logits of the downloaded adapter, Node and browser: ‖Δ‖/‖ref‖ ${difference}`);
    expect(difference).toBeLessThanOrEqual(1e-4);

    expect(errors).toEqual([]);
    expect(elsewhere).toEqual([]);
    await context.close();
  });

  it('goes on after a pause, a lost device and a closed tab, to the same losses', {
    timeout: 10 * minutes,
  }, async () => {
    const settings = { steps: 30, batchSize: 2, answers: 1 };
    const undisturbed = await newContext();
    const { page: calm } = await openExamplePage(undisturbed, example.url);
    await setSettings(calm, settings);
    // What was typed stays, whenever the model has been read.
    await calm.getByTestId('plan-facts').getByText('30 steps').waitFor();
    await calm.getByRole('button', { name: 'Start fine-tuning' }).click();
    await untilRunIs(calm, 'Done');
    const expected = stepsOf(textOf((await downloadedFiles(calm))['metrics.jsonl']));
    await undisturbed.close();

    const context = await newContext();
    const { page } = await openExamplePage(context, example.url, { beforeWorker: rememberDevice });
    await setSettings(page, settings);
    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await page.getByText(/step \d+ is saved/).waitFor({ timeout: 3 * minutes });
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilRunIs(page, 'Paused');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText(/Step \d+ of 30/).waitFor({ timeout: 3 * minutes });

    await loseDevice(page);
    await untilRunIs(page, 'Stopped');
    await page.getByRole('heading', { name: 'The GPU was lost' }).waitFor();
    expect(await page.getByRole('alert').textContent()).toMatch(/What was learned up to step \d+ is saved/);
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText(/Step \d+ of 30/).waitFor({ timeout: 3 * minutes });
    await page.close();

    const { page: again } = await openExamplePage(context, example.url);
    await again.getByRole('button', { name: 'Open' }).click();
    await again.getByRole('button', { name: 'Go on' }).click();
    await untilRunIs(again, 'Done');
    const samples = await again.getByRole('article').first().textContent();
    expect(samples).toMatch(/Before.*After 30 steps/s);
    const steps = stepsOf(textOf((await downloadedFiles(again))['metrics.jsonl']));
    const losses = (records: StepRecord[]) => records.map(({ step, loss }) => [step, loss]);
    expect(losses(steps)).toEqual(losses(expected));
    expect(steps.at(-1)!.evalLoss).toBe(expected.at(-1)!.evalLoss);
    await context.close();
  });

  it('can be stopped at once, and goes on from the start where nothing was saved yet', {
    timeout: 3 * minutes,
  }, async () => {
    const context = await newContext();
    const { page } = await openExamplePage(context, example.url, { beforeWorker: rememberDevice });
    // A checkpoint every tenth step.
    await setSettings(page, { steps: 200, batchSize: 2, answers: 1 });
    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilRunIs(page, 'Paused', minutes);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText(/Step [2-8] of 200/).waitFor({ timeout: 2 * minutes });
    await loseDevice(page);
    await untilRunIs(page, 'Stopped');
    expect(await page.getByRole('alert').textContent()).toMatch(/going on begins from the start/);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText(/Step [1-8] of 200/).waitFor({ timeout: 2 * minutes });
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Throw away' }).click();
    await page.getByRole('heading', { name: '1. Model' }).waitFor({ timeout: minutes });
    await context.close();
  });

  it.each([
    [
      'no WebGPU',
      "Object.defineProperty(Object.getPrototypeOf(navigator), 'gpu', { value: undefined })",
      'This browser has no WebGPU',
      /Use Chrome or Edge 127 or later/,
    ],
    ['no adapter', 'GPU.prototype.requestAdapter = async () => null', 'WebGPU finds no GPU here', /driver/],
  ])('says so where there is %s', async (_, beforeWorker, title, advice) => {
    const context = await newContext();
    const { page } = await openExamplePage(context, example.url, { beforeWorker });
    await page.getByRole('heading', { name: title }).first().waitFor({ timeout: minutes });
    expect(await page.getByRole('alert').first().textContent()).toMatch(advice);
    expect(await page.getByRole('button', { name: 'Start fine-tuning' }).isDisabled()).toBe(true);
    await expectAccessible(page);
    await context.close();
  });

  it('says so where the GPU has no more memory, and where the storage is full; what was saved stays', {
    timeout: 5 * minutes,
  }, async () => {
    const context = await newContext();
    // Both as the browser tells them: an error of the device, and a write that is refused.
    const beforeWorker = `
      const requestDevice = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (...args) {
        const device = await requestDevice.apply(this, args);
        const createBuffer = device.createBuffer.bind(device);
        device.createBuffer = (descriptor) => {
          if (self.hasNoMemory) device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error: new GPUOutOfMemoryError('none left') }));
          return createBuffer(descriptor);
        };
        return device;
      };
      const createWritable = FileSystemFileHandle.prototype.createWritable;
      FileSystemFileHandle.prototype.createWritable = function (...args) {
        if (self.isFull && this.name.endsWith('.safetensors')) throw new DOMException('full', 'QuotaExceededError');
        return createWritable.apply(this, args);
      }`;
    const { page } = await openExamplePage(context, example.url, { beforeWorker });
    const worker = () => page.workers()[0]!;
    await page.getByTestId('fit').waitFor({ timeout: minutes });
    await setSettings(page, { steps: 40, batchSize: 2, answers: 1 });
    await worker().evaluate('self.hasNoMemory = true');
    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await page.getByRole('heading', { name: 'The GPU has no more memory' }).waitFor({ timeout: minutes });
    expect(await page.getByRole('alert').textContent()).toMatch(/smaller batch/);

    await worker().evaluate('self.hasNoMemory = false');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText(/step \d+ is saved/).waitFor({ timeout: 3 * minutes });
    await worker().evaluate('self.isFull = true');
    await page.getByRole('heading', { name: 'The browser’s storage is full' }).waitFor({ timeout: 3 * minutes });
    expect(await page.getByRole('alert').textContent()).toMatch(/What was learned up to step \d+ is saved/);

    await worker().evaluate('self.isFull = false');
    await page.getByRole('button', { name: 'Go on' }).click();
    await untilRunIs(page, 'Done');
    await context.close();
  });

  it('names the row, the setting or the model that cannot be used', { timeout: 2 * minutes }, async () => {
    const context = await newContext();
    const { page } = await openExamplePage(context, example.url);
    await page.getByLabel('Paste').check();
    await page.getByLabel(/One row a line/).fill('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}');
    await page.getByRole('heading', { name: 'A row cannot be used' }).waitFor({ timeout: minutes });
    expect(await page.getByRole('alert').textContent()).toMatch(/pasted rows:2.*completion/);

    // What a row's data: address holds is read here: no address is asked for it.
    const row = (url: string) => JSON.stringify({ image: url, prompt: 'a', completion: 'b' });
    await page.getByLabel(/One row a line/).fill(row('data:image/png,raw'));
    await expect
      .poll(() => page.getByRole('alert').textContent(), { timeout: minutes })
      .toMatch(/pasted rows:1: the picture in its data: address is not in base64/);

    await page.getByLabel('Example: orders → lists').check();
    await setSettings(page, { maxLength: 8 });
    await expect
      .poll(() => page.getByRole('alert').textContent(), { timeout: minutes })
      .toMatch(/orders\.jsonl:1: this row has \d+ tokens/);

    await page.getByLabel('File on disk').first().check();
    await page
      .getByLabel(/A \.gguf file/)
      .setInputFiles({ name: 'broken.gguf', mimeType: '', buffer: Buffer.from('no model at all') });
    await page.getByRole('heading', { name: 'A weight file is damaged' }).waitFor({ timeout: minutes });
    expect(await page.getByRole('alert').first().textContent()).toMatch(/broken\.gguf/);
    await context.close();
  });

  it('fetches a model from an address once, and needs no network afterwards', { timeout: 5 * minutes }, async () => {
    const context = await newContext();
    let isOnline = true;
    const ranges: string[] = [];
    // Asked for its own model: it offers none.
    await context.route('https://huggingface.co/**', (route) => route.fulfill({ json: {} }));
    await context.route('https://models.test/**', async (route) => {
      if (!isOnline) return route.abort('internetdisconnected');
      const request = route.request();
      const headers = {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Expose-Headers': 'ETag, Content-Range',
        'Access-Control-Allow-Headers': '*',
        ETag: '"one"',
      };
      if (request.method() === 'OPTIONS') return route.fulfill({ status: 204, headers });
      const name = new URL(request.url()).pathname.split('/').pop()!;
      // Not the model that the page itself comes with: an answer shows which one it is of.
      const files: Record<string, string> = {
        'config.json': 'models/gemma3-tiny/config.json',
        'model.safetensors': 'models/gemma3-tiny/model.safetensors',
        'tokenizer.json': 'tokenizer/tokenizer.json',
        'tokenizer_config.json': 'tokenizer/tokenizer_config.json',
      };
      if (files[name] === undefined) return route.fulfill({ status: 404, headers });
      const body = await readFile(here(`fixtures/${files[name]}`));
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers()['range'] ?? '') ?? [];
      if (first === undefined) return route.fulfill({ status: 200, headers, body });
      ranges.push(`${name} ${first}-${last}`);
      const part = body.subarray(Number(first), Number(last) + 1);
      const range = `bytes ${first}-${Number(first) + part.length - 1}/${body.length}`;
      return route.fulfill({ status: 206, headers: { ...headers, 'Content-Range': range }, body: part });
    });
    const openAddress = async (page: Page) => {
      await page.getByLabel('Hugging Face or URL').check();
      await page.getByRole('textbox', { name: 'Name on Hugging Face, or URL' }).fill('https://models.test/gemma');
      await page.getByRole('button', { name: 'Open', exact: true }).last().click();
      await expect
        .poll(() => page.getByTestId('model-facts').textContent(), { timeout: minutes })
        .toMatch(/models\.test.*\dK parameters/);
    };
    const { page, errors } = await openExamplePage(context, example.url);
    await openAddress(page);
    await setSettings(page, { steps: 2, batchSize: 2, maxLength: 96, answers: 1 });
    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await untilRunIs(page, 'Done');
    // It is one piece. A single byte asks, at each opening, whether the file is still the same.
    const pieces = ranges.filter((range) => !range.endsWith(' 0-0'));
    expect(pieces).toEqual([expect.stringMatching(/^model\.safetensors 0-\d+$/)]);
    expect(errors).toEqual([]);
    await page.close();

    isOnline = false;
    const { page: offline } = await openExamplePage(context, example.url);
    await offline.getByRole('heading', { name: 'Models kept in this browser' }).waitFor({ timeout: minutes });
    await offline.getByRole('button', { name: 'Open', exact: true }).first().click();
    await offline.getByRole('button', { name: 'Answer' }).click();
    await expect
      .poll(() => offline.getByTestId('answer').textContent(), { timeout: minutes })
      .toMatch(/^Tuned[^…]*[a-z]/);
    await context.close();
  });

  it('offers a real model with its size where the hub can be reached, and says what fails', {
    timeout: 5 * minutes,
  }, async () => {
    const gguf = await readFile(here('fixtures/gguf/gemma3-tiny-q8_0.gguf'));
    const repository = 'ggml-org/gemma-3-270m-it-GGUF';
    const hub = await startFakeHub(repository, 'gemma-3-270m-it-Q8_0.gguf', gguf);
    const context = await newContext();
    let isOnline = false;
    let answered = 0;
    await context.route('https://huggingface.co/**', async (route) => {
      if (!isOnline) await route.abort('internetdisconnected');
      else {
        const { pathname, search } = new URL(route.request().url());
        await route.fulfill({ response: await route.fetch({ url: `${hub.url}${pathname}${search}` }) });
      }
      answered++;
    });
    try {
      const { page } = await openExamplePage(context, example.url);
      const offer = page.getByTestId('real-model');
      const askAgain = async () => {
        const before = answered;
        await page.getByLabel('Folder on disk').check();
        await page.getByLabel('Hugging Face or URL').check();
        await expect.poll(() => answered).toBe(before + 1);
      };
      await page.getByTestId('fit').waitFor({ timeout: minutes });
      // Nobody asks before that choice.
      expect(answered).toBe(0);
      await askAgain();
      isOnline = true;
      hub.answers.gated = 'manual';
      await askAgain();
      await page.waitForTimeout(500);
      expect(await offer.count()).toBe(0);
      hub.answers.gated = false;
      await askAgain();
      await expect
        .poll(() => offer.textContent())
        .toContain(`${(gguf.length / 2 ** 10).toPrecision(3)} KiB to download`);
      expect(hub.asked.filter((path) => path.includes('/resolve/'))).toEqual([]);
      await expectAccessible(page);

      const choose = page.getByRole('button', { name: 'Gemma 3 270M' });
      hub.answers.refuses = 403;
      await choose.click();
      await page.getByRole('heading', { name: 'The model cannot be read' }).waitFor({ timeout: minutes });
      expect(await page.getByRole('alert').textContent()).toMatch(
        /answers 403: the model is gated or private.*accept its licence on https:\/\/huggingface\.co\/ggml-org\/gemma-3-270m-it-GGUF/,
      );
      hub.answers.refuses = null;
      await choose.click();
      await expect
        .poll(() => page.getByTestId('model-facts').textContent(), { timeout: minutes })
        .toMatch(/gemma-3-270m-it-Q8_0\.gguf.*as gguf/);
      await setSettings(page, { steps: 2, batchSize: 2, maxLength: 96, answers: 1 });
      await page.getByRole('button', { name: 'Start fine-tuning' }).click();
      await untilRunIs(page, 'Done');
    } finally {
      await context.close();
      await hub.close();
    }
  });

  it('learns to caption the pictures of its own example, which one click chooses', {
    timeout: 10 * minutes,
  }, async () => {
    const context = await newContext();
    const { page, errors, elsewhere } = await openExamplePage(context, example.url);
    await page.getByLabel('Small model that sees pictures').check();
    await expect
      .poll(() => page.getByTestId('plan-facts').textContent(), { timeout: minutes })
      .toContain('240 steps over 360 rows');
    expect(await page.getByTestId('model-facts').textContent()).toMatch(/Small PaliGemma.*it sees pictures/);
    const widths = () =>
      page
        .locator('.preview img')
        .evaluateAll((images) => images.map((image) => (image as HTMLImageElement).naturalWidth));
    expect(await widths()).toEqual([56, 56, 56]);
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await untilRunIs(page, 'Done', 8 * minutes);
    const counted = /: (\d+) of 24 before, (\d+) of 24 after 240 steps/.exec(
      (await page.getByTestId('right-answers').textContent())!,
    );
    expect(Number(counted?.[1])).toBe(0);
    expect(Number(counted?.[2])).toBeGreaterThanOrEqual(23);
    const figures = /Tokens guessed right(100\.0|9\d\.\d) %/;
    expect(await page.locator('.figures').textContent()).toMatch(figures);
    // The picture of the first held-out row is asked about where no other was chosen.
    await page.getByRole('button', { name: 'Answer' }).click();
    await expect
      .poll(() => page.getByTestId('answer').textContent(), { timeout: minutes })
      .toMatch(/^Tunedone blue square and two yellow triangles$/);
    await expectAccessible(page);
    expect(errors).toEqual([]);
    expect(elsewhere).toEqual([]);
    await page.close();

    const { page: again } = await openExamplePage(context, example.url);
    await again.getByRole('button', { name: 'Open', exact: true }).click();
    await untilRunIs(again, 'Done');
    expect(await again.locator('.figures').textContent()).toMatch(figures);
    await context.close();
  });

  it('learns from pictures, with a model from a folder that is chosen again after the tab was closed', {
    timeout: 5 * minutes,
  }, async () => {
    const vision = here('../examples/finetune-vision');
    const rows = (await readFile(join(vision, 'data/train.jsonl'), 'utf8')).split('\n').slice(0, 12);
    const images = new Set(rows.map((row) => join(vision, 'data', (JSON.parse(row) as { image: string }).image)));
    const data = { name: 'shapes.jsonl', mimeType: '', buffer: Buffer.from(rows.join('\n')) };
    const pictures = await Promise.all(
      [...images].map(async (path) => ({ name: basename(path), mimeType: 'image/png', buffer: await readFile(path) })),
    );
    const context = await newContext();
    const { page } = await openExamplePage(context, example.url);
    await page.getByLabel('Folder on disk').check();
    await page.getByLabel(/A model as Hugging Face publishes it/).setInputFiles(join(vision, 'base'));
    await expect
      .poll(() => page.getByTestId('model-facts').textContent(), { timeout: minutes })
      .toMatch(/^base: 83\dK parameters.*it sees pictures/);
    await page.getByLabel('File on disk').last().check();
    await page.getByLabel(/JSONL, JSON, CSV/).setInputFiles([data, ...pictures]);
    // The rows show their pictures, and the settings suit the model: its context has room for them.
    const thumbnail = page.locator('.preview img').first();
    await expect
      .poll(() => thumbnail.evaluate((image: HTMLImageElement) => image.naturalWidth), { timeout: minutes })
      .toBeGreaterThan(0);
    await expect.poll(() => page.getByTestId('fit').textContent(), { timeout: minutes }).toMatch(/fit/i);
    await setSettings(page, { steps: 20, batchSize: 2, answers: 1 });
    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await page.getByText(/step \d+ is saved/).waitFor({ timeout: 2 * minutes });
    await page.close();

    const { page: again } = await openExamplePage(context, example.url);
    await again.getByRole('button', { name: 'Open', exact: true }).click();
    const modelFile = again.getByLabel(/choose the model’s files again/);
    const files = modelFiles.map((name) => join(vision, 'base', name));
    await modelFile.setInputFiles(files.slice(1));
    await again.getByRole('heading', { name: 'This is not the model that the run was begun with' }).waitFor();
    await modelFile.setInputFiles(files);
    await again.getByRole('button', { name: 'Go on' }).click();
    await untilRunIs(again, 'Done');
    expect(await again.getByRole('article').first().getByRole('img').count()).toBe(1);
    await again.getByLabel('The picture it is about').setInputFiles(pictures[0]!);
    await again.getByRole('button', { name: 'Answer' }).click();
    await expect.poll(() => again.getByTestId('answer').textContent(), { timeout: minutes }).toMatch(/^Tuned[^…]*\w/);
    await context.close();
  });

  it('keeps other tabs off a run, and throws it away when it is cancelled', { timeout: 3 * minutes }, async () => {
    const context = await newContext();
    const { page } = await openExamplePage(context, example.url);
    await setSettings(page, { steps: 200, batchSize: 2, answers: 1 });
    await page.getByRole('button', { name: 'Start fine-tuning' }).click();
    await page.getByText(/step \d+ is saved/).waitFor({ timeout: 2 * minutes });
    const { page: other } = await openExamplePage(context, example.url);
    await other.getByRole('button', { name: 'Open', exact: true }).first().click();
    await other.getByRole('button', { name: 'Go on' }).click();
    await other.getByRole('heading', { name: 'This run is in use' }).waitFor({ timeout: minutes });
    await other.getByRole('button', { name: 'Back' }).click();
    await other.getByRole('button', { name: /^Delete/ }).click();
    await other.getByRole('button', { name: 'Throw away' }).click();
    await other.getByRole('heading', { name: 'This run is in use' }).waitFor({ timeout: minutes });
    await other.close();
    expect(await page.getByRole('heading', { name: 'Training' }).count()).toBe(1);

    await page.getByRole('button', { name: 'Cancel' }).click();
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Throw away' }).click();
    await page.getByRole('heading', { name: '1. Model' }).waitFor({ timeout: minutes });
    expect(await page.getByRole('heading', { name: 'Your runs in this browser' }).count()).toBe(0);
    await context.close();
  });

  it.each(['light', 'dark'] as const)(
    'fits a phone and has enough contrast: %s',
    { timeout: 2 * minutes },
    async (colorScheme) => {
      const context = await example.browser.newContext({ viewport: { width: 360, height: 740 }, colorScheme });
      const { page } = await openExamplePage(context, example.url);
      await page.getByTestId('fit').waitFor({ timeout: minutes });
      await page.getByText('Settings', { exact: true }).click();
      await expectAccessible(page);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
      await context.close();
    },
  );

  it('can be used by keyboard alone', { timeout: 2 * minutes }, async () => {
    const context = await newContext();
    const { page } = await openExamplePage(context, example.url);
    await page.getByTestId('fit').waitFor({ timeout: minutes });
    const reached = new Set<string>();
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab');
      reached.add(
        await page.evaluate(
          () => document.activeElement?.textContent?.trim() || (document.activeElement as HTMLInputElement)?.name,
        ),
      );
    }
    expect([...reached]).toEqual(expect.arrayContaining(['model-kind', 'data-kind', 'Settings', 'Start fine-tuning']));
    // What is being typed stays, whichever plan comes meanwhile.
    await page.getByText('Settings', { exact: true }).click();
    const field = page.locator('input[name=steps]');
    await field.fill('6');
    await field.press('Backspace');
    await page
      .getByTestId('plan-facts')
      .getByText(/^6 steps/)
      .waitFor({ timeout: minutes });
    expect(await field.inputValue()).toBe('');
    await field.pressSequentially('12');
    await page
      .getByTestId('plan-facts')
      .getByText(/^12 steps/)
      .waitFor({ timeout: minutes });
    await context.close();
  });
});
