import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unpackSoftwareAdapter } from './software-node.js';

let cacheFolder: string;
beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), 'software-adapter-'));
});
afterEach(() => rm(cacheFolder, { recursive: true, force: true }));

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('unpackSoftwareAdapter', () => {
  it('unpacks a Vulkan loader, a driver and its manifest', async () => {
    const software = await unpackSoftwareAdapter({ cacheFolder });
    expect((await readdir(software!.folder)).sort()).toEqual([
      'libvk_swiftshader.so',
      'libvulkan.so.1',
      'vk_swiftshader_icd.json',
    ]);
    const manifest = JSON.parse(await readFile(software!.icd, 'utf8')) as { ICD: { library_path: string } };
    const driver = await readFile(join(software!.folder, manifest.ICD.library_path));
    expect(driver.subarray(1, 4).toString()).toBe('ELF');
  });

  it('is safe when several do it at once, and leaves nothing half-written', async () => {
    const all = await Promise.all(Array.from({ length: 3 }, () => unpackSoftwareAdapter({ cacheFolder })));
    expect(new Set(all.map((software) => software?.folder)).size).toBe(1);
    expect(await readdir(join(cacheFolder, 'lapidary'))).toHaveLength(1);
  });

  it('gives up quietly where it cannot write', async () => {
    // A file where a folder would have to be.
    expect(await unpackSoftwareAdapter({ cacheFolder: fileURLToPath(import.meta.url) })).toBeUndefined();
  });
});
