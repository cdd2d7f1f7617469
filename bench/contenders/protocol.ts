// What the benchmark (parent) and a contender (child process) say to each other: one JSON object a line.

/** Sizes and switches of a case, as every contender reads them. */
export type Params = Readonly<Record<string, number | string | boolean>>;

export type Request =
  | { readonly do: 'hello' }
  /** Makes everything that the case needs, and runs it twice: what is compiled, is compiled then. */
  | { readonly do: 'prepare'; readonly op: string; readonly params: Params }
  /** Runs it `times` times, each waited for. */
  | { readonly do: 'run'; readonly times: number }
  | { readonly do: 'result' }
  | { readonly do: 'memory' }
  | { readonly do: 'drop' };

export interface Hello {
  readonly name: string;
  readonly version: string;
  /** The device it computes on. */
  readonly device: string;
  readonly isSoftware: boolean;
  /** Operations that it has. */
  readonly ops: readonly string[];
}

export interface Prepared {
  /** Milliseconds of the first run and of the second. */
  readonly firstMs: number;
  readonly secondMs: number;
  /** How it was done, if there is a choice. */
  readonly note?: string;
}

export interface RunTime {
  readonly ms: number;
  /** Of all the process's threads: the time of an adapter on the CPU, whatever else the machine does. */
  readonly cpuMs: number;
}

/** Numbers that all contenders should agree on; what is compared is a common beginning (losses of so many steps). */
export interface Result {
  readonly values: readonly number[];
}

export interface MemoryUse {
  readonly heap: number;
  readonly resident: number;
  /** Bytes of GPU buffers, where it tells. */
  readonly gpu?: number;
}

/** A process that begins with nothing compiled, as `Result` has it: in this order. Milliseconds. */
export interface StartTimes {
  /** Of weights, from a file or a connection to the device. */
  readonly loadingMs: number;
  /** From then until the first step is done. */
  readonly firstStepMs: number;
  readonly secondStepMs: number;
}

/** What stays of a contender's side of a case. */
export interface Task {
  /** Once, and waits until the device has done it. */
  run(): Promise<void>;
  result(): Promise<readonly number[]>;
  drop?(): void | Promise<void>;
  readonly note?: string;
}

export type Op = (params: Params) => Promise<Task>;
