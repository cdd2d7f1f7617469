// Reads inputs in a process of its own, which can be ended when one does not end, and may die of one.
import { openSync, writeSync } from 'node:fs';
import type { Finding } from './fuzz.js';
import { fuzzOne } from './fuzz.js';
import type { Files } from './reader.js';
import { readers } from './readers.js';

/** What the process is told. */
export interface Work {
  readonly name: string;
  readonly seed: number;
  readonly count: number;
  /** A file in which it writes where it is, two numbers of 8 bytes: inputs begun and inputs accepted. */
  readonly progress: string;
  /** Whether inputs are wanted back, with what became of them. */
  readonly keep: boolean;
}

/** What it tells. */
export type Told =
  | { readonly kind: 'finding'; readonly finding: Finding }
  | { readonly kind: 'kept'; readonly seed: number; readonly accepted: boolean; readonly files: Files }
  | { readonly kind: 'end' };

process.once('message', async (work: Work) => {
  const { name, seed, count, progress, keep } = work;
  const tell = (told: Told) => process.send?.(told);
  const state = new Float64Array(2);
  const file = openSync(progress, 'r+');
  const reader = await readers[name]!();
  for (let i = 0; i < count; i++) {
    state[0] = i + 1;
    writeSync(file, state, 0, 16, 0);
    const verdict = await fuzzOne(reader, seed + i);
    const { kind, files } = verdict;
    if (kind === 'accepted') state[1]! += 1;
    if (verdict.kind === 'finding')
      tell({ kind: 'finding', finding: { reader: name, seed: seed + i, problem: verdict.problem, files } });
    else if (keep) tell({ kind: 'kept', seed: seed + i, accepted: kind === 'accepted', files });
  }
  writeSync(file, state, 0, 16, 0);
  tell({ kind: 'end' });
  process.disconnect();
});
