import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { makeFolder } from '@lapidary/trainer/node';
import { withoutSecrets } from '@lapidary/weights';
import { type Command, CommanderError } from 'commander';
import { createProgram } from './create-program.js';
import { describeError } from './describe-error.js';
import type { Engine } from './engine.js';
import { openTerminal } from './terminal-node.js';
import { UsageError } from './usage-error.js';
import { exitCodes } from './exit-codes.js';

export { abortOnSignals } from './abort-on-signals-node.js';

/** Bytes of a file that is read whole: above any config or run record. */
const largestText = 64 * 2 ** 20;

export interface CliOptions {
  readonly engine: Engine;
  readonly version: string;
  readonly out?: (text: string) => void;
  readonly err?: (text: string) => void;
  readonly readInput?: () => Promise<string>;
  /** What is typed. Default: standard input. */
  readonly stdin?: NodeJS.ReadableStream;
  readonly signal?: AbortSignal;
}

/** Help of a command that there is not is an error like the command itself, not the help of everything: what is then asked for. */
function unknownCommand(args: readonly string[], { commands }: Command): readonly string[] | undefined {
  const [first = '', second] = args;
  const name = first === 'help' ? second : first;
  const isKnown = name === undefined || name.startsWith('-') || name === 'help';
  return isKnown || commands.some((command) => command.name() === name) ? undefined : [name];
}

/**
 * Runs a command line (without `node` and the script) to its end.
 * @returns the exit code: 0 done, 1 an error of the user's or of the machine's, 70 a bug, 130 stopped by Ctrl-C after saving.
 */
export async function runCli(args: readonly string[], options: CliOptions): Promise<number> {
  const out = options.out ?? ((content) => void process.stdout.write(content));
  const write = options.err ?? ((content) => void process.stderr.write(content));
  const err = (content: string) => write(withoutSecrets(content));
  const signal = options.signal ?? new AbortController().signal;
  const readInput = options.readInput ?? (() => (process.stdin.isTTY ? Promise.resolve('') : text(process.stdin)));
  const context = {
    engine: options.engine,
    out,
    err,
    colours: options.out === undefined && process.stdout.isTTY && process.stdout.hasColors(),
    signal,
    readInput,
    openTerminal: () => openTerminal(options.stdin ?? process.stdin, signal),
    readFile: async (path: string) => {
      const found = await stat(path);
      // A pipe may never end.
      if (!found.isFile() && !found.isDirectory()) throw new Error('it is a pipe or a device, not a file');
      if (found.size > largestText) throw new Error(`it has ${found.size} bytes; at most ${largestText} are read`);
      return readFile(path, 'utf8');
    },
    writeFile: async (path: string, content: string) => {
      try {
        await makeFolder(dirname(path));
        await writeFile(path, content);
      } catch (cause) {
        throw new UsageError({
          message: `${path} cannot be written: ${(cause as Error).message}.`,
          hint: '--out names a file.',
        });
      }
    },
  };
  try {
    const program = createProgram(context, options.version);
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(unknownCommand(args, program) ?? args, { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    // Commander has printed what it has to say: help, the version, or what is wrong with the arguments.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.userError;
    const { exitCode, name, message, hint, stack } = describeError(error);
    if (args.includes('--json')) out(withoutSecrets(`${JSON.stringify({ error: { name, message, hint } })}\n`));
    const isError = exitCode !== exitCodes.interrupted;
    err(`${isError ? 'error: ' : ''}${stack ?? message}\n${hint ? `${hint}\n` : ''}`);
    if (stack) err('This is a bug in Lapidary; please report it with the lines above.\n');
    return exitCode;
  }
}
