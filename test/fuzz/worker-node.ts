// Reads inputs in a thread of its own, which can be ended when one does not end.
import { parentPort, workerData } from 'node:worker_threads';
import { type Finding, fuzzOne } from './fuzz.js';
import { readers } from './readers.js';

/** What a thread is told. */
export interface Work {
  readonly name: string;
  readonly seed: number;
  readonly count: number;
  /** Two numbers: which input is being read, and how many were accepted. */
  readonly progress: SharedArrayBuffer;
  /** Told each input with its verdict. */
  readonly keep: boolean;
}

/** What a thread tells. */
export type Told =
  | { readonly finding: Finding }
  | {
      readonly kept: {
        readonly seed: number;
        readonly accepted: boolean;
        readonly files: Readonly<Record<string, Uint8Array>>;
      };
    }
  | { readonly done: true };

const { name, seed, count, progress, keep } = workerData as Work;
const state = new Int32Array(progress);
const tell = (told: Told) => parentPort?.postMessage(told);
const reader = await readers[name]?.();
if (reader === undefined) throw new Error(`there is no reader ${name}`);
for (let i = 0; i < count; i++) {
  Atomics.store(state, 0, i);
  const verdict = await fuzzOne(reader, seed + i);
  if (verdict.kind === 'accepted') Atomics.add(state, 1, 1);
  if (verdict.kind === 'finding')
    tell({ finding: { reader: name, seed: seed + i, problem: verdict.problem, files: verdict.files } });
  else if (keep) tell({ kept: { seed: seed + i, accepted: verdict.kind === 'accepted', files: verdict.files } });
}
Atomics.store(state, 0, count);
tell({ done: true });
