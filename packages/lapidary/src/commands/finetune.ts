import { createTerminalProgress } from '@lapidary/trainer/node';
import type { CliContext } from '../cli-context.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';

/** Trains; progress goes to standard error, with `--json` the summary to standard output. */
export async function finetune(values: FlagValues, context: CliContext): Promise<void> {
  const config = await readTrainConfig(values, context);
  const logger = createTerminalProgress({ showSamples: values['samples'] !== false });
  const summary = await context.engine.runTraining(config, { logger, signal: context.signal });
  if (values['json'] === true) context.out(`${JSON.stringify(summary)}\n`);
}
