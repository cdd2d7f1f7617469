// Reads inputs in a process of its own, which can be ended when one does not end, and may die of one.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openSync, writeSync } from 'node:fs';
import { type Finding, fuzzOne, type Verdict } from './fuzz.js';
import { readers } from './readers.js';

/** What the process is told. */
export interface Work {
  readonly name: string;
  readonly seed: number;
  readonly count: number;
  /** Most milliseconds of the processor for one input: on a busy machine a process may stand still without being to blame. */
  readonly mostMs: number;
  /** A file in which it writes where it is, two numbers of 8 bytes: inputs begun and inputs accepted. */
  readonly progress: string;
  /** Whether inputs are wanted back, with what became of them. */
  readonly keep: boolean;
}

/** What it tells. */
export type Told =
  | { readonly kind: 'finding'; readonly finding: Finding }
  | { readonly kind: 'kept'; readonly seed: number; readonly verdict: Verdict }
  | { readonly kind: 'end' };

process.once('message', async ({ name, seed: first, count, mostMs, progress, keep }: Work) => {
  const tell = (told: Told) => process.send?.(told);
  const state = new Float64Array(2);
  const file = openSync(progress, 'r+');
  const reader = await readers[name]!();
  // A promise that nobody waits for would end the process that a user has, and here blame the input after.
  let unhandled: unknown;
  process.on('unhandledRejection', (reason) => {
    unhandled ??= reason;
  });
  for (let i = 0; i < count; i++) {
    state[0] = i + 1;
    writeSync(file, state, 0, 16, 0);
    const seed = first + i;
    const began = process.cpuUsage();
    unhandled = undefined;
    const read = await fuzzOne(reader, seed);
    await nextTurn();
    const verdict: Verdict =
      unhandled === undefined
        ? read
        : { ...read, kind: 'finding', problem: `left a promise behind: ${(unhandled as Error).stack ?? unhandled}` };
    const { kind, problem, files } = verdict;
    const { user, system } = process.cpuUsage(began);
    const ms = (user + system) / 1000;
    if (kind === 'accepted') state[1]! += 1;
    const isSlow = ms > mostMs;
    if (isSlow || kind === 'finding') {
      const what = isSlow ? `took ${ms.toFixed(0)} ms and was ${kind}: ${problem}` : problem;
      tell({ kind: 'finding', finding: { reader: name, seed, problem: what, files } });
    } else if (keep) tell({ kind: 'kept', seed, verdict });
  }
  writeSync(file, state, 0, 16, 0);
  // What was told before must have arrived.
  process.send?.({ kind: 'end' } satisfies Told, () => process.disconnect());
});
