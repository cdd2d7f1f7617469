// The page of examples/finetune-browser in headless Chromium, with everything that a user would not forgive written down.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright';
import { buildPage, servePage } from '../../examples/finetune-browser/build.mjs';
import { findChromium } from '../../scripts/find-chromium.mjs';

const found = await findChromium();
/** False where there is no Chromium: then there is nothing to test in. */
export const hasChromium = found !== undefined;

export interface ServedPage {
  readonly url: string;
  close(): Promise<void>;
}

/** Builds the page, and serves it. */
export async function serveExamplePage(): Promise<ServedPage> {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-page-'));
  await buildPage(folder);
  const server = await servePage(folder);
  return {
    url: server.url,
    close: async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** How a Chromium is started that computes, on a GPU or without one. */
export const chromiumOptions = {
  ...(found && {
    executablePath: found.executablePath,
    env: { ...process.env, ...found.env } as Record<string, string>,
  }),
  args: ['--no-sandbox', '--enable-unsafe-webgpu'],
};

export interface ExamplePage extends ServedPage {
  readonly browser: Browser;
}

/** Builds the page, serves it, and starts a browser. */
export async function startExamplePage(): Promise<ExamplePage> {
  const served = await serveExamplePage();
  const browser = await chromium.launch(chromiumOptions);
  return {
    url: served.url,
    browser,
    close: async () => {
      await browser.close();
      await served.close();
    },
  };
}

export interface OpenedPage {
  readonly page: Page;
  /** Errors of scripts and of the console: violations of the security policy are among them. */
  readonly errors: string[];
  /** Addresses other than the page's own that were asked for something. */
  readonly elsewhere: string[];
}

/** Opens the page; `beforeWorker` is a script that runs first in the worker, to take things away from it. */
export async function openExamplePage(
  context: BrowserContext,
  url: string,
  { beforeWorker = '' }: { readonly beforeWorker?: string } = {},
): Promise<OpenedPage> {
  const page = await context.newPage();
  const errors: string[] = [];
  const elsewhere: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('request', (request) => {
    const asked = request.url();
    if (!asked.startsWith(url) && !/^(blob|data):/.test(asked)) elsewhere.push(asked);
  });
  if (beforeWorker !== '') {
    await page.route('**/worker-*.js', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${beforeWorker};\n${await response.text()}` });
    });
  }
  await page.goto(url);
  return { page, errors, elsewhere };
}

/** Changes numbers among the settings. */
export async function setSettings(page: Page, settings: Readonly<Record<string, number>>): Promise<void> {
  await page.getByText('Settings', { exact: true }).click();
  for (const [name, value] of Object.entries(settings)) {
    await page.locator(`input[name=${name}]`).fill(String(value));
    await page.locator(`input[name=${name}]`).blur();
  }
}

/** Waits until the run on the page has a heading such as `Done`. */
export async function untilRunIs(page: Page, heading: string, timeout = 300_000): Promise<void> {
  await page.getByRole('heading', { name: heading, exact: true }).waitFor({ timeout });
}
