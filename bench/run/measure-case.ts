import type { BenchCase } from '../cases/case.js';
import type { MemoryUse, RunTime, StartTimes } from '../contenders/protocol.js';
import { ContenderError, type ContenderProcess } from './contender-process.js';
import { difference, median } from './statistics.js';

/** How one contender did in one case. */
export interface Measured {
  readonly contender: string;
  /** Why there are no figures. */
  readonly failure?: string;
  readonly note?: string;
  /** Of the very first run: compilation included. */
  readonly firstMs?: number;
  /** Median of the rounds. */
  readonly ms?: number;
  /** Time over ours, median over the rounds of the same round's. */
  readonly ratio?: number;
  /** The same of the time that all threads together were on a CPU: what is left of it when the machine is shared. */
  readonly cpuRatio?: number;
  /** Largest relative difference of its results from ours. */
  readonly difference?: number;
  readonly memory?: { readonly before: MemoryUse; readonly after: MemoryUse };
  readonly start?: StartTimes;
}

export interface CaseResult {
  readonly case: BenchCase;
  /** Ours first. */
  readonly measured: readonly Measured[];
}

/** So long one contender's part of a round should take at least: short runs are repeated. */
const PART_MS = 60;
const MOST_TIMES = 50;

/**
 * Measures one case with everyone who has it: everyone is warm before the first round, and in each round all of them run once,
 * forwards and backwards in turn, so that a noisy moment hits none alone.
 */
export async function measureCase(
  benchCase: BenchCase,
  contenders: readonly ContenderProcess[],
  rounds: number,
): Promise<CaseResult> {
  const records = new Map(
    contenders.map((c) => [c, { contender: c.command.name } as { -readonly [K in keyof Measured]: Measured[K] }]),
  );
  const times = new Map<ContenderProcess, number>();
  const results = new Map<ContenderProcess, readonly number[]>();
  let alive: ContenderProcess[] = [];
  const attempt = async (contender: ContenderProcess, what: () => Promise<void>): Promise<boolean> => {
    try {
      await what();
      return true;
    } catch (error) {
      if (!(error instanceof ContenderError)) throw error;
      records.get(contender)!.failure = error.message;
      alive = alive.filter((other) => other !== contender);
      return false;
    }
  };

  for (const contender of contenders) {
    await attempt(contender, async () => {
      const { ops } = await contender.start();
      if (!ops.includes(benchCase.op)) throw new ContenderError('–');
      const { firstMs, secondMs, note } = await contender.prepare(benchCase.op, benchCase.params);
      times.set(contender, Math.min(MOST_TIMES, Math.max(1, Math.ceil(PART_MS / secondMs))));
      Object.assign(records.get(contender)!, { firstMs, ...(note !== undefined && { note }) });
      alive.push(contender);
    });
  }

  const measured = new Map<ContenderProcess, (RunTime | undefined)[]>(alive.map((c) => [c, []]));
  if (benchCase.memoryRuns !== undefined) {
    for (const contender of [...alive]) {
      await attempt(contender, async () => {
        await contender.run(20);
        const before = await contender.memory();
        measured.get(contender)!.push(await contender.run(benchCase.memoryRuns!));
        records.get(contender)!.memory = { before, after: await contender.memory() };
      });
    }
  } else if (!benchCase.isStart) {
    for (let round = 0; round < rounds; round++) {
      for (const contender of round % 2 === 0 ? [...alive] : [...alive].reverse()) {
        await attempt(contender, async () => {
          measured.get(contender)![round] = await contender.run(times.get(contender)!);
        });
      }
    }
  }

  for (const contender of [...alive]) {
    await attempt(contender, async () => {
      const result = await contender.result();
      results.set(contender, result);
      if (benchCase.isStart) {
        const [loadingMs, firstStepMs, secondStepMs] = result as [number, number, number];
        records.get(contender)!.start = { loadingMs, firstStepMs, secondStepMs };
      }
    });
    await contender.drop().catch(() => contender.stop());
  }
  const [ours] = contenders;
  const own = measured.get(ours!) ?? [];
  const ownResult = results.get(ours!);
  for (const contender of benchCase.isStart ? [] : alive) {
    const record = records.get(contender)!;
    const list = measured.get(contender)!;
    record.ms = median(list.flatMap((time) => (time === undefined ? [] : [time.ms])));
    const pairs = list.flatMap((time, i) =>
      time === undefined || own[i] === undefined ? [] : [[time, own[i]] as const],
    );
    if (pairs.length > 0) {
      record.ratio = median(pairs.map(([time, our]) => time.ms / our.ms));
      record.cpuRatio = median(pairs.map(([time, our]) => time.cpuMs / our.cpuMs));
    }
    const result = results.get(contender);
    if (contender !== ours && result && ownResult) record.difference = difference(ownResult, result);
  }
  return { case: benchCase, measured: [...records.values()] };
}
