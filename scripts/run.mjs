import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Runs a program in the foreground and gives its exit code (128 + n when signal n ended it). Ctrl-C goes to the program,
 * which decides how to end; this process follows it.
 */
export function run(program, args, { cwd = root, env = {}, stdio = 'inherit' } = {}) {
  // npx is a .cmd file on Windows, which only a shell can start.
  const shell = process.platform === 'win32' && program === 'npx';
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio, shell });
  const forward = (signal) => child.kill(signal);
  // The terminal sends SIGINT to both; SIGTERM comes to this process alone.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  process.on('SIGTERM', forward);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', forward);
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}
