import type { Engine } from './engine.js';

/** What a command may touch. */
export interface CliContext {
  readonly engine: Engine;
  /** Results. */
  readonly out: (text: string) => void;
  /** Everything else: progress, notes, errors. */
  readonly err: (text: string) => void;
  /** Whether results go to a terminal that shows colours. */
  readonly colours: boolean;
  readonly signal: AbortSignal;
  readonly readFile: (path: string) => Promise<string>;
  /** Makes the folder too. */
  readonly writeFile: (path: string, text: string) => Promise<void>;
  /** All that was piped in; empty for a terminal. */
  readonly readInput: () => Promise<string>;
  /** For a command that goes line by line. */
  readonly openTerminal: () => Terminal;
}

/** Lines that somebody types, or pipes in. */
export interface Terminal {
  /** Whether somebody types. */
  readonly isTyped: boolean;
  /** The next line; null at the end, which Ctrl-C also is. */
  readLine(): Promise<string | null>;
  /** While `work` goes on, Ctrl-C only aborts its signal. */
  interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  close(): void;
}
