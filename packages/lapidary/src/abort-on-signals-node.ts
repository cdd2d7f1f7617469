// Imports nothing large: signals are heard before the rest of the program is there.
import { exitCodes } from './exit-codes.js';

/** Signals so near each other are one, ms: `npx` passes on what the terminal has sent already. */
const oneSignalMs = 500;

/**
 * The first Ctrl-C, SIGTERM or SIGHUP (a terminal that is closed) asks the run to save and stop; so does a standard output or error that
 * nobody reads any more. The second Ctrl-C or SIGTERM ends the process at once.
 */
export function abortOnSignals(
  err: (text: string) => void = (content) => void process.stderr.write(content),
): AbortSignal {
  const controller = new AbortController();
  let stoppedAt = 0;
  const stop = (why: string) => {
    stoppedAt = performance.now();
    controller.abort();
    err(`\n${why}topping as soon as what is under way is done. Ctrl-C again stops at once.\n`);
  };
  const onSignal = (signal: NodeJS.Signals) => {
    if (!controller.signal.aborted) return stop('S');
    // Closing a terminal sends several of these, and nobody is there to mean anything by the second.
    if (signal !== 'SIGHUP' && performance.now() - stoppedAt > oneSignalMs) process.exit(exitCodes.interrupted);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', () => {
      if (!controller.signal.aborted) stop('Nobody reads what is printed: s');
    });
  return controller.signal;
}
