import { formatBytes } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';
import { formatTable } from '../format-table.js';

/** What a run would take, without loading a weight. */
export async function plan(values: FlagValues, context: CliContext): Promise<void> {
  const config = await readTrainConfig(values, context);
  const planned = await context.engine.planTraining(config);
  const total = planned.memory.reduce((sum, { bytes }) => sum + bytes, 0);
  const fits = planned.availableBytes === null ? null : total <= planned.availableBytes;
  if (values['json'] === true) {
    context.out(`${JSON.stringify({ ...planned, totalBytes: total, fits })}\n`);
    return;
  }
  const count = (value: number) => value.toLocaleString('en');
  context.out(
    `${formatTable([
      ['Parameters', count(planned.parameters)],
      ['Trained', count(planned.trainableParameters)],
      ['Steps', count(planned.totalSteps)],
      ['Tokens a step', count(planned.tokensPerStep)],
    ])}\n\n${formatTable([...planned.memory.map(({ category, bytes }) => [category, formatBytes(bytes)]), ['Together', formatBytes(total)]])}\n`,
  );
  if (fits === null) return;
  const available = formatBytes(planned.availableBytes!);
  context.out(
    fits
      ? `\nFits: the adapter has ${available}.\n`
      : `\nDoes not fit: the adapter has ${available}.\n${planned.advice.map((line) => `  - ${line}\n`).join('')}`,
  );
}
