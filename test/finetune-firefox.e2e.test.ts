// The page that fine-tunes in a browser, in Firefox: its own example gives the losses that it gives in Chromium. Runs where there is a
// Firefox with a GPU's driver or a software one; says so where it did not run.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StepRecord } from '@lapidary/trainer';
import { unzipSync } from 'fflate';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findFirefox } from '../scripts/find-firefox.mjs';
import { chromiumOptions, hasChromium, serveExamplePage, type ServedPage } from './support/example-page-node.js';

const minutes = 60_000;
const steps = 6;

const firefoxPath = findFirefox();
const lacks = [
  ...(firefoxPath === undefined ? ['Firefox (on Debian: apt-get install firefox-esr; or set FIREFOX to one)'] : []),
  ...(hasChromium ? [] : ['Chromium to compare with (set CHROME to one)']),
];
if (lacks.length > 0) console.warn(`DID NOT RUN: no ${lacks.join(', no ')}.`);

const noAdapter =
  'Firefox finds no GPU and nothing that stands in for one (on Debian: apt-get install mesa-vulkan-drivers)';

const launchFirefox = (downloads: string) =>
  puppeteer.launch({
    browser: 'firefox',
    executablePath: firefoxPath!,
    extraPrefsFirefox: {
      'browser.download.folderList': 2,
      'browser.download.dir': downloads,
      // On Linux it is off by default.
      'dom.webgpu.enabled': true,
      'gfx.webgpu.ignore-blocklist': true,
      'gfx.webrender.software': true,
      // The user is asked whether the page may keep what it stores: here the answer is yes.
      'dom.storageManager.prompt.testing': true,
      'dom.storageManager.prompt.testing.allow': true,
    },
  });

const launchChromium = (downloads: string) =>
  puppeteer.launch({
    browser: 'chrome',
    ...chromiumOptions,
    downloadBehavior: { policy: 'allow', downloadPath: downloads },
  });

let served: ServedPage;
const downloads: string[] = [];
const browsers: Browser[] = [];
beforeAll(async () => {
  if (lacks.length === 0) served = await serveExamplePage();
}, 2 * minutes);
afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await served?.close();
  await Promise.all(downloads.map((folder) => rm(folder, { recursive: true, force: true })));
});

const byText = (page: Page, tag: string, text: string) => page.locator(`::-p-xpath(//${tag}[.="${text}"])`);

async function setNumber(page: Page, name: string, value: number): Promise<void> {
  await page.$eval(
    `input[name=${name}]`,
    (input, text) => {
      input.value = text;
      input.dispatchEvent(new Event('input', { bubbles: true }));
    },
    String(value),
  );
}

/** The files of a zip that was downloaded, once all of it is there. */
async function downloaded(path: string): Promise<Record<string, Uint8Array>> {
  let files: Record<string, Uint8Array> = {};
  const isThere = async () => {
    // Until then there is no such file, or an empty one.
    const bytes = await readFile(path).catch(() => new Uint8Array());
    if (bytes.length > 0) files = unzipSync(new Uint8Array(bytes));
    return bytes.length > 0;
  };
  await expect.poll(isThere, { timeout: minutes }).toBe(true);
  return files;
}

/** A browser with a folder for what it downloads. */
async function open(launch: (downloads: string) => Promise<Browser>) {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-downloads-'));
  downloads.push(folder);
  const browser = await launch(folder);
  browsers.push(browser);
  return { browser, folder };
}

async function hasAdapter(browser: Browser): Promise<boolean> {
  const page = await browser.newPage();
  await page.goto(served.url);
  return page.evaluate(async () => (await navigator.gpu?.requestAdapter()) != null);
}

/** A few steps of the page's own example, from the first click to the adapter on disk. */
async function fineTune({ browser, folder }: Awaited<ReturnType<typeof open>>) {
  const page = await browser.newPage();
  page.setDefaultTimeout(3 * minutes);
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(served.url);
  await page.locator('[data-testid=fit]').wait();
  await byText(page, 'summary', 'Settings').click();
  await setNumber(page, 'answers', 2);
  await setNumber(page, 'steps', steps);
  await page
    .locator('[data-testid=plan-facts]')
    .filter((facts) => /^6 steps over 216 rows/.test(facts.textContent!))
    .wait();
  await byText(page, 'button', 'Start fine-tuning').click();
  await byText(page, 'h2', 'Done').wait();
  await byText(page, 'button', 'Answer').click();
  await page
    .locator('[data-testid=answer]')
    .filter((answer) => /^Tuned[^…]*\w/.test(answer.textContent!))
    .wait();
  await byText(page, 'button', 'Download adapter').click();
  const files = await downloaded(join(folder, 'adapter.zip'));
  const records = new TextDecoder()
    .decode(files['metrics.jsonl'])
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as StepRecord);
  return { errors, files, losses: records.map(({ loss }) => loss) };
}

describe.runIf(lacks.length === 0)('the page in Firefox', () => {
  it('fine-tunes the small model to the losses that Chromium has', { timeout: 10 * minutes }, async (context) => {
    const opened = await open(launchFirefox);
    if (!(await hasAdapter(opened.browser))) {
      console.warn(`DID NOT RUN: ${noAdapter}.`);
      context.skip(noAdapter);
    }
    const firefox = await fineTune(opened);
    const chromium = await fineTune(await open(launchChromium));
    // Each browser adds on an adapter of its own, in another order.
    const apart = firefox.losses.map((loss, i) => Math.abs(loss / chromium.losses[i]! - 1));
    console.log(`losses in Firefox ${firefox.losses.join(', ')}; largest relative difference ${Math.max(...apart)}`);
    expect(firefox.losses.length).toBe(steps);
    expect(Math.max(...apart)).toBeLessThanOrEqual(1e-4);
    expect(Object.keys(firefox.files).sort()).toEqual(Object.keys(chromium.files).sort());
    expect(firefox.errors).toEqual([]);
  });
});
