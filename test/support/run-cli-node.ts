import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Arguments of Node that run the command line from its sources. */
export const cliProgram = [
  '--import',
  import.meta.resolve('tsx'),
  '--conditions=lapidary-source',
  fileURLToPath(new URL('../../packages/lapidary/src/bin-node.ts', import.meta.url)),
];

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  /** Both streams, as they came. */
  readonly output: string;
}

/** Runs the command line in a process of its own, as a user has it; `onLine` sees what it prints as it does. */
export function runCliProcess(
  args: readonly string[],
  {
    cwd,
    input = '',
    onLine,
  }: {
    readonly cwd: string;
    readonly input?: string;
    readonly onLine?: (line: string, kill: (signal: NodeJS.Signals) => void) => void;
  },
): Promise<CliRun> {
  const child = spawn(process.execPath, [...cliProgram, ...args], { cwd });
  const texts = { stdout: '', output: '' };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      texts.output += text;
      if (stream === child.stdout) texts.stdout += text;
      for (const line of text.split('\n')) onLine?.(line, (signal) => child.kill(signal));
    });
  child.stdin.end(input);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...texts })));
}
