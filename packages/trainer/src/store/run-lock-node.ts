import { randomBytes } from 'node:crypto';
import { link, open, readFile, readlink, rmdir, stat, unlink, utimes } from 'node:fs/promises';
import { hostname, uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import * as v from 'valibot';
import { RunInUseError } from '../errors/errors.js';
import { lockFile } from './file-names.js';
import { unfinishedSuffix } from './file-store.js';
import { makeFolder } from './make-folder-node.js';
import { checkRegular } from './regular-file-node.js';

/** A lock's file is touched this often, ms: what tells of a process that cannot be asked for, on another machine say. */
const touchMs = 20_000;
/** So long untouched, such a process is gone, ms. */
const goneMs = 180_000;
/** Longer than a lock takes to be taken away, ms. */
const claimMs = 10_000;
/** Machines' clocks are set now and then: beginnings of a machine's uptime this near each other are the same, ms. */
const clockMs = 120_000;

const holderSchema = v.object({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  host: v.string(),
  /** Of the machine since it was started; null where the system has no such thing. */
  boot: v.nullable(v.string()),
  /** When the machine was started, ms since 1970. */
  bootedAt: v.number(),
  /** In which process numbers count: containers have their own. Null where the system has no such thing. */
  namespace: v.nullable(v.string()),
  /** When the process began, in the system's own unit: numbers of processes are used again. Null where it does not tell. */
  began: v.nullable(v.string()),
});
type Holder = v.InferOutput<typeof holderSchema>;

/**
 * Takes a folder for this process: a file in it says whose it is, until what is returned is called. That of a process that is gone, or of
 * a machine that was started again since, counts for nothing. Folders that were made for the lock go with it where nothing else came into them.
 * @throws RunInUseError
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, lockFile);
  const made = await makeFolder(dirname(path));
  const mine = `${JSON.stringify(await describeProcess(process.pid))}\n`;
  while (!(await create(path, mine))) {
    const text = await readLock(path);
    if (text === undefined) continue;
    const holder = parseHolder(text);
    if (holder === undefined ? !(await isUntouched(path)) : await isAlive(holder, path))
      throw new RunInUseError({ location: folder, pid: holder?.pid ?? null, host: holder?.host ?? null, lock: path });
    await takeAway(path, text);
  }
  const touching = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, touchMs).unref();
  return async () => {
    clearInterval(touching);
    if ((await readLock(path)) !== mine) return;
    await unlink(path).catch(() => undefined);
    // A folder that is not empty stays, and so do those around it.
    for (const each of made.reverse()) await rmdir(each).catch(() => undefined);
  };
}

/** Makes the file with all of its text at once; false where there is one. */
async function create(path: string, text: string): Promise<boolean> {
  const whole = `${path}.${process.pid}-${randomBytes(4).toString('hex')}${unfinishedSuffix}`;
  await write(whole, text);
  try {
    await link(whole, path);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // Disks without links: there the text may come a moment after the file.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    return await write(path, text);
  } finally {
    await unlink(whole).catch(() => undefined);
  }
}

async function write(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The text of a lock; undefined where it is gone by now. */
async function readLock(path: string): Promise<string | undefined> {
  for (let attempt = 0; ; attempt++) {
    await checkRegular(path, { stat });
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined || text.endsWith('\n') || attempt === 5) return text;
    await wait(50);
  }
}

/** Removes the lock of a process that is gone. One at a time: another might take away the lock that the first one then made. */
async function takeAway(path: string, stale: string): Promise<void> {
  const claim = `${path}.claim${unfinishedSuffix}`;
  if (!(await write(claim, ''))) {
    // It is held for a moment; one that stays is of a process that was killed.
    if (await isUntouched(claim, claimMs)) await unlink(claim).catch(() => undefined);
    else await wait(20);
    return;
  }
  try {
    if ((await readLock(path)) === stale) await unlink(path);
  } finally {
    await unlink(claim).catch(() => undefined);
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const parsed = v.safeParse(holderSchema, JSON.parse(text));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(holder: Holder, path: string): Promise<boolean> {
  const own = await describeProcess(process.pid);
  if (holder.host === own.host) {
    const isSameBoot =
      holder.boot === null || own.boot === null
        ? Math.abs(holder.bootedAt - own.bootedAt) < clockMs
        : holder.boot === own.boot;
    if (!isSameBoot) return false;
    if (holder.namespace === own.namespace) return isRunning(holder);
  }
  return !(await isUntouched(path));
}

async function isRunning({ pid, began }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = await beginningOf(pid);
  return began === null || now === null || began === now;
}

async function isUntouched(path: string, ms = goneMs): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined || Date.now() - found.mtimeMs > ms;
}

async function describeProcess(pid: number): Promise<Holder> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => null);
  return {
    pid,
    host: hostname(),
    boot: boot?.trim() ?? null,
    bootedAt: Math.round(Date.now() - uptime() * 1000),
    namespace: await readlink('/proc/self/ns/pid').catch(() => null),
    began: await beginningOf(pid),
  };
}

/** Field 22 of `/proc/…/stat` (proc(5)); the name of the program before it may hold anything. */
async function beginningOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}
