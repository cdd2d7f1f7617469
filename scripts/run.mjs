import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Runs a program in the foreground and gives its exit code (128 + n when signal n ended it). Ctrl-C goes to the program,
 * which decides how to end; this process follows it.
 */
export function run(program, args, { cwd = root, env = {}, stdio = 'inherit' } = {}) {
  // npm and npx are .cmd files on Windows, which only a shell can start.
  const shell = process.platform === 'win32' && (program === 'npx' || program === 'npm');
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio, shell });
  const forward = (signal) => child.kill(signal);
  // The terminal sends SIGINT to both; SIGTERM comes to this process alone.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  process.on('SIGTERM', forward);
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`${program} cannot be started: ${error.message}`);
      resolve(127);
    });
    child.on('close', (code, signal) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', forward);
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}

/** Runs a program beside others: what it prints is kept together, and told at its end. */
export async function runBeside(program, args) {
  const chunks = [];
  const shell = process.platform === 'win32' && (program === 'npx' || program === 'npm');
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], shell });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => chunks.push(chunk));
  const code = await new Promise((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });
  process.stdout.write(Buffer.concat(chunks));
  return code;
}

/** pnpm as package.json names it, through npx: nothing but npm need be installed. */
export function pnpm(args, options) {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return run('npx', ['--yes', '--loglevel=error', packageManager, ...args], options);
}

/** Builds every package; turbo skips those that have not changed. */
export function build() {
  const env = { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' };
  return pnpm(['exec', 'turbo', 'run', 'build', '--ui=stream', '--output-logs=errors-only'], { env });
}
