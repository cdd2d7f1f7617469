// Finds a Chromium for the browser tests: $CHROME, one of the system, or the headless one that an npm package carries.
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';

const systemPaths = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:/Program Files/Google/Chrome/Application/chrome.exe',
];

/**
 * @returns {Promise<{ executablePath: string, env: Record<string, string>, from: string } | undefined>} undefined when
 * there is none.
 */
export async function findChromium() {
  if (process.env.CHROME) return { executablePath: process.env.CHROME, env: {}, from: '$CHROME' };
  if (!process.env.LAPIDARY_CHROMIUM_FROM_NPM) {
    const executablePath = systemPaths.find((path) => existsSync(path));
    if (executablePath !== undefined) return { executablePath, env: {}, from: executablePath };
  }
  return chromiumFromNpm();
}

/** `@sparticuz/chromium` is a Chromium packed for cloud functions (Linux, x64), with SwiftShader and the libraries it needs. */
async function chromiumFromNpm() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const root = dirname(dirname(new URL(import.meta.url).pathname));
  let packageFolder;
  let parseTar;
  try {
    // Both belong to packages/gpu, which uses the same SwiftShader under Node.
    const require = createRequire(join(root, 'packages/gpu/package.json'));
    packageFolder = dirname(require.resolve('@sparticuz/chromium'));
    while (!existsSync(join(packageFolder, 'bin'))) packageFolder = dirname(packageFolder);
    ({ parseTar } = await import(require.resolve('nanotar')));
  } catch {
    return undefined;
  }
  const { version } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8'));
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lapidary');
  const target = join(cache, `chromium-${version}`);
  if (!existsSync(target)) {
    await mkdir(cache, { recursive: true });
    const folder = await mkdtemp(`${target}-`);
    try {
      const read = async (name) => promisify(brotliDecompress)(await readFile(join(packageFolder, 'bin', name)));
      await writeFile(join(folder, 'chromium'), await read('chromium.br'));
      await chmod(join(folder, 'chromium'), 0o755);
      for (const name of ['swiftshader.tar.br', 'al2023.tar.br']) {
        for (const { name: path, type, data } of parseTar(await read(name))) {
          if (type !== 'file' || data === undefined) continue;
          await mkdir(dirname(join(folder, path)), { recursive: true });
          await writeFile(join(folder, path), data);
        }
      }
      await rename(folder, target);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      if (!existsSync(target)) throw error;
    }
  }
  return {
    executablePath: join(target, 'chromium'),
    env: { LD_LIBRARY_PATH: `${join(target, 'lib')}:${target}` },
    from: `npm @sparticuz/chromium ${version}`,
  };
}
