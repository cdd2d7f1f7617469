import { eventFilePrefix } from '../../store/file-names.js';
import type { FileStore } from '../../store/file-store.js';
import { encodeEvent, type EventContent } from './event.js';
import { tfRecord } from './tf-record.js';

/** A file that TensorBoard reads, growing. */
export interface EventFile {
  /** Adds what is known at a step. */
  add(step: number, contents: readonly EventContent[]): Promise<void>;
}

/**
 * Begins a file of events, after those that are there: readers take them by name. Where there are some, they drop what these have of
 * `nextStep` and later steps.
 */
export async function beginEventFile(store: FileStore, nextStep: number, now: () => number): Promise<EventFile> {
  const before = (await store.list(eventFilePrefix)).map(({ name }) =>
    Number.parseInt(name.slice(eventFilePrefix.length), 10),
  );
  // Also where a clock was put back, or two files begin in a second.
  const last = Math.max(0, ...before.filter(Number.isFinite));
  const number = Math.max(Math.floor(now() / 1000), last + 1);
  const name = `${eventFilePrefix}${String(number).padStart(10, '0')}.lapidary`;
  const records = (step: number, contents: readonly EventContent[]) => {
    const wallTime = now() / 1000;
    return contents.map((content) => tfRecord(encodeEvent(wallTime, step, content)));
  };
  await store.write(name, [
    ...records(0, [{ fileVersion: 'brain.Event:2' }]),
    ...(before.length > 0 ? records(nextStep, [{ sessionStart: true }]) : []),
  ]);
  return {
    add: (step, contents) => store.append(name, joined(records(step, contents))),
  };
}

/** Records as one piece: a store may copy the file to append to it. */
function joined(records: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(records.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const record of records) {
    all.set(record, at);
    at += record.length;
  }
  return all;
}
