import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseJson } from '@lapidary/gemma';
import { isExportedName, type FileStore, readText, summaryFile, runFile } from '@lapidary/trainer';
import { createNodeFileStore } from '@lapidary/trainer/node';
import { readRun } from '@lapidary/trainer/report';
import { openGguf, openSafetensors } from '@lapidary/weights';
import { fileSource } from '@lapidary/weights/node';
import type { ExportedFiles } from '../engine.js';
import { UsageError } from '../usage-error.js';
import { HubPushError } from './hub-push-error.js';
import type { CardKind } from './model-card.js';

/**
 * What can be pushed as it lies there: what a run ended with, an adapter, a model, or a .gguf file.
 * @throws UsageError where there is nothing of that; RunRecordsError
 */
export async function findExported(place: string): Promise<ExportedFiles> {
  const as = (files: readonly string[], run: string | null, step: number | null = null): ExportedFiles => ({
    folder: place,
    files,
    run,
    step,
    base: null,
  });
  if (!existsSync(place))
    throw new UsageError({ message: `There is nothing at ${place}.`, hint: 'Name a run, or what was exported of it.' });
  if (!statSync(place).isDirectory()) {
    if (/\.gguf$/i.test(place)) return { ...as([basename(place)], null), folder: dirname(place) };
    throw new UsageError({
      message: `${place} is no .gguf file, and no folder.`,
      hint: 'Name a run, or what was exported of it.',
    });
  }
  const store = createNodeFileStore(place);
  const names = (await store.list()).map(({ name }) => name);
  if (names.includes(summaryFile)) {
    const { summary } = await readRun(store);
    return as(summary?.exported ?? [], place, summary?.exportedStep ?? summary?.steps ?? null);
  }
  const isAdapter = names.includes('adapter_config.json');
  const files = names.filter((name) => isExportedName(name) && name.startsWith('adapter_') === isAdapter);
  if (files.length === 0)
    throw new UsageError({
      message: `Nothing has been exported in ${place}: the run there, if there is one, has not ended.`,
      hint: 'Name with --out a folder that its newest checkpoint is exported to.',
    });
  return as(files, names.includes(runFile) ? place : null);
}

/** What the files are, once it is known that they are all there, and whole. @throws HubPushError */
export async function checkExported({ folder, files }: ExportedFiles): Promise<CardKind> {
  const incomplete = (message: string, hint = 'Export it again.') =>
    new HubPushError({ message: `What is in ${folder} is not whole: ${message}. Nothing was pushed.`, hint });
  const store = createNodeFileStore(folder);
  const there = new Map((await store.list()).map(({ name, bytes }) => [name, bytes]));
  for (const name of files) {
    if (!there.get(name)) throw incomplete(`${name} is ${there.has(name) ? 'empty' : 'not there'}`);
    try {
      await checkFile(store, name, join(folder, name), files);
    } catch (error) {
      throw incomplete(`${name}: ${(error as Error).message}`);
    }
  }
  const has = (pattern: RegExp) => files.some((name) => pattern.test(name));
  const [gguf] = files.filter((name) => /\.gguf$/i.test(name));
  if (gguf !== undefined) return (await isGgufAdapter(join(folder, gguf))) ? 'gguf-adapter' : 'gguf';
  const needed = has(/^adapter_/)
    ? [/^adapter_config\.json$/, /^adapter_model\.safetensors$/]
    : [/^config\.json$/, /^model.*\.safetensors$/];
  const isSharded = has(/^model-\d+-of-\d+\.safetensors$/);
  const lacking = [...needed, ...(isSharded ? [/^model\.safetensors\.index\.json$/] : [])].find((name) => !has(name));
  if (lacking) throw incomplete(`there is no ${lacking.source.replace(/[\\^$]/g, '').replace('.*', '')}`);
  return has(/^adapter_/) ? 'adapter' : 'model';
}

/** @throws where a file is cut short, no JSON, or names others that are not pushed */
async function checkFile(store: FileStore, name: string, path: string, files: readonly string[]): Promise<void> {
  if (/\.(safetensors|gguf)$/i.test(name)) {
    const source = await fileSource(path);
    try {
      await (/\.gguf$/i.test(name) ? openGguf(source) : openSafetensors(source));
    } finally {
      await source.close?.();
    }
  }
  if (!name.endsWith('.json')) return;
  const json = parseJson(await readText(store, name));
  if (!name.endsWith('.index.json')) return;
  const { weight_map: map } = json as { readonly weight_map?: unknown };
  const shards = typeof map === 'object' && map !== null ? new Set(Object.values(map)) : new Set();
  const missing = [...shards].find((shard) => typeof shard !== 'string' || !files.includes(shard));
  if (shards.size === 0 || missing !== undefined)
    throw new Error(
      shards.size === 0 ? 'it names no files of weights' : `${String(missing)}, which it names, is not there`,
    );
}

async function isGgufAdapter(path: string): Promise<boolean> {
  const source = await fileSource(path);
  try {
    return (await openGguf(source)).metadata['general.type'] === 'adapter';
  } finally {
    await source.close?.();
  }
}
