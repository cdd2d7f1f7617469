// Opens built pages as a strict site serves them, in headless Chromium.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { chromium } from 'playwright';

const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' blob: data:",
  "worker-src 'self'",
].join('; ');
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8' };
const patience = 60_000;

/** Serves a folder on a port of localhost, which counts as secure: WebGPU is there. */
async function serve(folder) {
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const file = pathname === '/' ? 'index.html' : pathname;
    try {
      const content = await readFile(join(folder, file));
      response.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream');
      response.setHeader('Content-Security-Policy', contentSecurityPolicy).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  return server;
}

/**
 * Opens index.html of each folder and awaits `globalThis.result`.
 * @param {{ executablePath: string, env: Record<string, string> }} found of findChromium
 * @param {readonly string[]} folders
 * @returns {Promise<{ result?: string, problems: string[] }[]>}
 */
export async function runInChromium({ executablePath, env }, folders) {
  const args = ['--no-sandbox', '--enable-unsafe-webgpu'];
  const browser = await chromium.launch({ executablePath, env: { ...process.env, ...env }, args });
  try {
    const outcomes = [];
    for (const folder of folders) outcomes.push(await openPage(browser, folder));
    return outcomes;
  } finally {
    await browser.close();
  }
}

async function openPage(browser, folder) {
  const problems = [];
  const server = await serve(folder);
  const page = await browser.newPage();
  try {
    page.on('pageerror', (error) => problems.push(String(error)));
    // Violations of the policy are told on the console too; what they break may go unnoticed otherwise.
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.addInitScript(() => {
      globalThis.violations = [];
      addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, sourceFile, lineNumber }) =>
        globalThis.violations.push(`${effectiveDirective} forbids ${blockedURI} (${sourceFile}:${lineNumber})`),
      );
    });
    await page.goto(`http://localhost:${server.address().port}/`, { timeout: patience });
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error('no result in time')), patience).unref());
    const result = await Promise.race([page.evaluate(() => globalThis.result), late]);
    if (typeof result !== 'string') problems.push('main.js did not run');
    problems.push(...(await page.evaluate(() => globalThis.violations)));
    return { result, problems };
  } catch (error) {
    return { problems: [...problems, String(error.message ?? error)] };
  } finally {
    await page.close();
    server.close();
  }
}
