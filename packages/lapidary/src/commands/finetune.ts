import { createTerminalProgress } from '@lapidary/trainer/node';
import type { CliContext } from '../cli-context.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';
import { openTarget, pushTo, type PushValues } from './push-to-hub.js';

/** Trains, and with `--push-to-hub` pushes what was exported; progress goes to standard error, with `--json` the summary to standard output. */
export async function finetune(values: FlagValues & PushValues, context: CliContext): Promise<void> {
  const config = await readTrainConfig(values, context);
  const opened = await openTarget(values, context);
  const logger = createTerminalProgress({ showSamples: values['samples'] !== false });
  const summary = await context.engine.runTraining(config, { logger, signal: context.signal });
  const { outDir, exported: files, exportedStep: step } = summary;
  const pushed =
    opened && (await pushTo(opened, { folder: outDir, files, run: outDir, step, base: null }, outDir, context));
  if (values['json'] === true) context.out(`${JSON.stringify(pushed ? { ...summary, pushed } : summary)}\n`);
}
