import type { Engine } from './engine.js';
import { UsageError } from './usage-error.js';

/** Said by what has no implementation behind it yet, instead of a result. */
function notConnected(what: string): never {
  throw new UsageError({ message: `${what} is not part of this build.`, hint: 'See the README for what works.' });
}

/**
 * What the commands run on in Node. CONNECT HERE: `openModel` and `inspectModel` to @lapidary/weights, `runTraining` and
 * `planTraining` to @lapidary/trainer's loop, `generate` to @lapidary/gemma.
 */
export const engine: Engine = {
  openModel: async () => notConnected('Opening models'),
  runTraining: async () => notConnected('Training'),
  planTraining: async () => notConnected('Planning'),
  inspectModel: async () => notConnected('Inspecting models'),
  generate: async () => notConnected('Generation'),
};
