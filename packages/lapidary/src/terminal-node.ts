import { createInterface } from 'node:readline';
import type { Terminal } from './cli-context.js';

/** What is typed, or comes through a pipe, line by line. Ctrl-C is a key here, no signal, where `input` is a terminal; `signal` closes it. */
export function openTerminal(input: NodeJS.ReadableStream, signal: AbortSignal): Terminal {
  const isTyped = (input as NodeJS.ReadStream).isTTY === true;
  const reader = createInterface({ input, output: process.stderr, terminal: isTyped, prompt: '> ' });
  // From now on, so that no line is lost while nobody asks for one.
  const lines = reader[Symbol.asyncIterator]();
  let stop: AbortController | undefined;
  reader.on('SIGINT', () => (stop ? stop.abort() : reader.close()));
  const close = () => reader.close();
  signal.addEventListener('abort', close, { once: true });
  return {
    isTyped,
    readLine: async () => {
      if (isTyped) reader.prompt();
      const { done, value } = await lines.next();
      return done ? null : value;
    },
    interruptible: async (work) => {
      const current = new AbortController();
      stop = current;
      try {
        return await work(AbortSignal.any([signal, current.signal]));
      } finally {
        stop = undefined;
      }
    },
    close: () => {
      signal.removeEventListener('abort', close);
      reader.close();
    },
  };
}
