import { createInterface } from 'node:readline';
import { waitForGpu } from '../../packages/gpu/src/wait-node.js';
import type { Hello, MemoryUse, Op, Request, RunTime, Task } from './protocol.js';

export interface Contender extends Omit<Hello, 'ops'> {
  readonly ops: Readonly<Record<string, Op>>;
  gpuBytes?(): number;
}

/** With `--patient`; we wait in this way for every result. */
const wait = process.env.BENCH_PATIENT ? waitForGpu : (pending: Promise<void>) => pending;

async function timed(run: () => Promise<void>, times = 1): Promise<number> {
  const from = performance.now();
  for (let i = 0; i < times; i++) await wait(run());
  return performance.now() - from;
}

/** Answers the benchmark's requests on standard input until it ends. Everything else that is printed goes to standard error. */
export async function serve(start: () => Promise<Contender>): Promise<void> {
  console.log = console.info = console.warn = console.debug = console.error;
  const say = (answer: unknown) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  let contender: Contender | undefined;
  let task: Task | undefined;

  const answer = async (request: Request): Promise<unknown> => {
    contender ??= await start();
    switch (request.do) {
      case 'hello':
        return { ...contender, ops: Object.keys(contender.ops) } satisfies Hello;
      case 'prepare': {
        const op = contender.ops[request.op];
        if (op === undefined) throw new RangeError(`${contender.name} has no ${request.op}`);
        task = await op(request.params);
        const firstMs = await timed(() => task!.run());
        const secondMs = await timed(() => task!.run());
        return { firstMs, secondMs, ...(task.note !== undefined && { note: task.note }) };
      }
      case 'run': {
        const cpu = process.cpuUsage();
        const ms = await timed(() => task!.run(), request.times);
        const { user, system } = process.cpuUsage(cpu);
        return { ms, cpuMs: (user + system) / 1000 } satisfies RunTime;
      }
      case 'result':
        return { values: await task!.result() };
      case 'memory': {
        globalThis.gc?.();
        const { heapUsed, rss } = process.memoryUsage();
        const gpu = contender.gpuBytes?.();
        return { heap: heapUsed, resident: rss, ...(gpu !== undefined && { gpu }) } satisfies MemoryUse;
      }
      case 'drop':
        await task?.drop?.();
        task = undefined;
        return {};
    }
  };

  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await answer(JSON.parse(line) as Request));
    } catch (error) {
      say({ error: String((error as Error)?.stack ?? error).slice(0, 2000) });
    }
  }
  // Dawn's threads would keep the process.
  process.stdout.write('', () => process.exit(0));
}
