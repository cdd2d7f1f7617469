import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants, homedir, tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { parseTar } from 'nanotar';

/** The npm package that carries SwiftShader, Google's Vulkan driver for the CPU, for Linux on x64. */
export const softwareAdapterPackage = '@sparticuz/chromium';

const icdFile = 'vk_swiftshader_icd.json';
const libraries = ['libvulkan.so.1', 'libvk_swiftshader.so', icdFile];

/** Where SwiftShader was unpacked. */
export interface SoftwareAdapter {
  readonly folder: string;
  /** The Vulkan driver manifest, for `VK_ICD_FILENAMES`. */
  readonly icd: string;
}

/**
 * Unpacks SwiftShader from the npm package `@sparticuz/chromium`, once, into the user's cache folder.
 * @returns undefined where the package is not installed or the machine is not Linux on x64.
 */
export async function unpackSoftwareAdapter({
  cacheFolder,
}: {
  cacheFolder?: string;
} = {}): Promise<SoftwareAdapter | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const packageFolder = findPackage();
  if (packageFolder === undefined) return undefined;
  const { version } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  const archive = join(packageFolder, 'bin', 'swiftshader.tar.br');
  if (!existsSync(archive)) return undefined;
  for (const root of cacheFolder === undefined ? cacheRoots() : [cacheFolder]) {
    const folder = join(root, 'lapidary', `swiftshader-${version}`);
    const icd = join(folder, icdFile);
    if (existsSync(icd)) return { folder, icd };
    try {
      await unpack(archive, folder);
      return { folder, icd };
    } catch (error) {
      if (existsSync(icd)) return { folder, icd };
      if (!['EACCES', 'EROFS', 'EPERM', 'ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error;
    }
  }
  return undefined;
}

/**
 * Makes SwiftShader visible to devices opened from now on in this process, also where no Vulkan loader is installed. Call it
 * in the main thread: a worker's environment does not reach the Vulkan loader. `openGpu` calls it when it finds no adapter.
 * With `onlyAdapter` (the default) other drivers are hidden, else SwiftShader is added to them.
 * @returns undefined where it cannot be had (see unpackSoftwareAdapter).
 */
export async function provisionSoftwareAdapter({
  onlyAdapter = true,
}: {
  onlyAdapter?: boolean;
} = {}): Promise<SoftwareAdapter | undefined> {
  const software = await unpackSoftwareAdapter();
  if (software === undefined) return undefined;
  process.env[onlyAdapter ? 'VK_ICD_FILENAMES' : 'VK_ADD_DRIVER_FILES'] = software.icd;
  if (!hasVulkanLoader()) preload(join(software.folder, 'libvulkan.so.1'));
  return software;
}

function findPackage(): string | undefined {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      // The package exports only its main file, which lies in build/.
      let folder = dirname(createRequire(from).resolve(softwareAdapterPackage));
      while (!existsSync(join(folder, 'bin')) && dirname(folder) !== folder) folder = dirname(folder);
      if (existsSync(join(folder, 'package.json'))) return folder;
    } catch {
      // Not installed there: try the next place.
    }
  }
  return undefined;
}

function cacheRoots(): string[] {
  // The second is for a home that cannot be written to; its name has the user in it, since others can write there.
  return [process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), join(tmpdir(), `cache-${userInfo().uid}`)];
}

/** Into a folder beside the target, then renamed: two processes may do it at once, and a half-written one is never seen. */
async function unpack(archive: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const files = parseTar(await promisify(brotliDecompress)(await readFile(archive)));
  const folder = await mkdtemp(`${target}-`);
  try {
    for (const name of libraries) {
      const file = files.find((entry) => entry.name.replace(/^\.\//, '') === name);
      if (file?.data === undefined)
        throw new Error(`${archive} lacks ${name}: ${softwareAdapterPackage} has changed; use version 147.0.0.`);
      await writeFile(join(folder, name), file.data);
    }
    await rename(folder, target);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function hasVulkanLoader(): boolean {
  try {
    preload('libvulkan.so.1');
    return true;
  } catch {
    return false;
  }
}

/**
 * Loads a library for good, so that Dawn's own dlopen finds it by its name.
 * @throws Error when there is no such library.
 */
function preload(library: string): void {
  const RTLD_NODELETE = 0x1000;
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE);
  } catch (error) {
    // Node says this of every library that is not an addon, after it has loaded it.
    if (!/self-register/.test(String((error as Error).message))) throw error;
  }
}
