// Bundles the packages for the browser with every bundler: all of them, nothing of Node's. Then runs the bundles in Chromium.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { bundlers } from './bundlers.mjs';
import { findChromium } from './find-chromium.mjs';
import { root } from './run.mjs';
import { runInChromium } from './run-in-chromium.mjs';

const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Lapidary</title>
<link rel="icon" href="data:,">
<script type="module" src="./main.js"></script>
`;

const worker = `import { run } from './program.js';
run().then(
  () => postMessage(''),
  (error) => postMessage(String(error)),
);
`;
const runInPageAndWorker = `import { run } from './program.js';
const runInWorker = () =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => (data === '' ? resolve() : reject(new Error('in a Worker: ' + data)));
    worker.onerror = ({ message }) => reject(new Error('in a Worker: ' + (message ?? 'it is not loaded')));
  });
globalThis.result = run().then(async (found) => {
  await runInWorker();
  return found + ', in a Worker too';
});
`;

/**
 * @param {string} project a folder with the packages in its node_modules
 * @param {readonly string[]} specifiers the entries for browsers
 * @returns {Promise<string[]>} what is wrong
 */
export async function checkBundles(project, specifiers) {
  const problems = [];
  const built = [];
  for (const [name, bundle] of Object.entries(bundlers)) {
    const page = writePage(join(project, `${name}-all`), specifiers, true);
    if ((await findProblems(bundle, page)).length === 0) {
      built.push({ name, folder: join(page, 'dist') });
      continue;
    }
    // Something in it cannot be bundled: which entry is it?
    const before = problems.length;
    for (const [i, specifier] of specifiers.entries()) {
      const alone = writePage(join(project, `${name}-${i}`), [specifier], false);
      problems.push(...(await findProblems(bundle, alone)).map((what) => `${name} bundle of ${specifier} ${what}`));
    }
    if (problems.length === before) problems.push(`${name} bundles every entry alone, but not all together.`);
  }

  const browser = await findChromium();
  if (browser === undefined) {
    console.log('No Chromium here: the bundles are built, but not run. Set CHROME to one.');
    return problems;
  }
  const outcomes = await runInChromium(
    browser,
    built.map(({ folder }) => folder),
  );
  for (const [i, { result, problems: found }] of outcomes.entries()) {
    problems.push(...found.map((what) => `${built[i].name} bundle in Chromium: ${what}`));
    if (found.length === 0) console.log(`${built[i].name} bundle in Chromium: ${result}`);
  }
  return problems;
}

/** A page that loads these entries whole, and on demand runs the program that uses them, also in a Worker. */
function writePage(page, specifiers, runs) {
  mkdirSync(page, { recursive: true });
  writeFileSync(join(page, 'index.html'), html);
  const imports = specifiers.map((specifier, i) => `import * as m${i} from '${specifier}';\n`).join('');
  let main = `${imports}globalThis.all = [${specifiers.map((_, i) => `m${i}`)}];\n`;
  if (runs) {
    copyFileSync(join(root, 'scripts', 'bundled-program.mjs'), join(page, 'program.js'));
    writeFileSync(join(page, 'worker.js'), worker);
    main += runInPageAndWorker;
  }
  writeFileSync(join(page, 'main.js'), main);
  return page;
}

async function findProblems(bundle, page) {
  try {
    const { modules, outside } = await bundle(page);
    const forNode = modules.map((id) => id.replaceAll('\\', '/')).filter((id) => isForNode(id));
    return [
      ...(forNode.length > 0 ? [`contains ${forNode.join(', ')}`] : []),
      ...(outside.length > 0 ? [`leaves out ${outside.join(', ')}`] : []),
    ];
  } catch (error) {
    const told = error.errors?.map(({ text, location }) => text && `${text} (${location?.file ?? ''})`).join('; ');
    return [`fails: ${told || String(error.message ?? error).split('\n    at ')[0]}`];
  }
}

/** Ours by their names, packages with native code, and what bundlers put in the place of Node's own modules. */
function isForNode(id) {
  return (
    /node_modules\/(@lapidary\/[^/]+|lapidary)\/dist\/(.*[/-])?node\.js$/.test(id) ||
    /node_modules\/(webgpu|sharp|@img|@sparticuz)\/|\.node$|__vite-browser-external/.test(id) ||
    isBuiltin(id)
  );
}
