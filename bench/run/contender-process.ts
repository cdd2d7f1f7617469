import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Hello, MemoryUse, Params, Prepared, Request, Result, RunTime } from '../contenders/protocol.js';

/** How to start a contender. */
export interface Command {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A contender failed at something; its own words. */
export class ContenderError extends Error {
  override readonly name = 'ContenderError';
}

const minutes = (n: number) => n * 60_000;

/** A process that runs cases: each contender has its own, since their globals do not go together. */
export class ContenderProcess {
  readonly command: Command;
  hello: Hello | undefined;
  #child: ChildProcess | undefined;
  #answer: ((line: string) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;
  #lastWords: string[] = [];

  constructor(command: Command) {
    this.command = command;
  }

  /** Starts the process, unless it runs. */
  async start(): Promise<Hello> {
    if (this.#child === undefined) this.#spawn();
    this.hello ??= await this.#ask<Hello>({ do: 'hello' }, minutes(3));
    return this.hello;
  }

  #spawn(): void {
    const { program, args, env } = this.command;
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (line.startsWith('{')) this.#answer?.(line);
    });
    createInterface({ input: child.stderr! }).on('line', (line) => {
      this.#lastWords = [...this.#lastWords.slice(-9), line];
    });
    child.stdin!.on('error', () => undefined);
    const ended = (why: string) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#fail?.(new ContenderError(`${this.command.name} ended (${why}): ${this.#lastWords.slice(-3).join(' ')}`));
    };
    child.on('error', (error) => ended(error.message));
    child.on('close', (code, signal) => ended(String(signal ?? code)));
  }

  async #ask<T>(request: Request, timeoutMs: number): Promise<T> {
    if (this.#child === undefined) throw new ContenderError(`${this.command.name} does not run`);
    const line = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new ContenderError(`${this.command.name} took more than ${timeoutMs / 1000} s to ${request.do}`));
        this.stop();
      }, timeoutMs);
      this.#answer = (text) => {
        clearTimeout(timer);
        resolve(text);
      };
      this.#fail = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#child!.stdin!.write(`${JSON.stringify(request)}\n`);
    });
    const answer = JSON.parse(line) as T & { readonly error?: string };
    if (answer.error !== undefined) throw new ContenderError(answer.error);
    return answer;
  }

  /** Compiling a peer's shaders for the first time takes minutes on adapters of the CPU; so does a cold start of ours. */
  prepare(op: string, params: Params): Promise<Prepared> {
    return this.#ask({ do: 'prepare', op, params }, minutes(15));
  }

  /** The time of one of `times` runs. */
  async run(times: number): Promise<RunTime> {
    const { ms, cpuMs } = await this.#ask<RunTime>({ do: 'run', times }, minutes(5));
    return { ms: ms / times, cpuMs: cpuMs / times };
  }

  async result(): Promise<readonly number[]> {
    return (await this.#ask<Result>({ do: 'result' }, minutes(2))).values;
  }

  memory(): Promise<MemoryUse> {
    return this.#ask({ do: 'memory' }, minutes(1));
  }

  async drop(): Promise<void> {
    if (this.#child !== undefined) await this.#ask({ do: 'drop' }, minutes(1));
  }

  /** Ends the process; what it was doing is lost. */
  stop(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.kill('SIGKILL');
  }
}
