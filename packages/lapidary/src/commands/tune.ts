import { formatAdapter, type TrainingTuning } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import { formatTable } from '../format-table.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';

/** Which variants of a step's products are fastest on this device: measured, kept, and printed as a table. */
export async function tune(values: FlagValues, context: CliContext): Promise<void> {
  const config = await readTrainConfig(values, context);
  const phases = new Set<string>();
  const tuning = await context.engine.tuneTraining(config, {
    again: values['again'] === true,
    signal: context.signal,
    logger: {
      onPhase: ({ name }) => {
        if (!phases.has(name)) context.err(`${name} …\n`);
        phases.add(name);
      },
      onNotice: (message) => context.err(`Note: ${message}\n`),
    },
  });
  context.out(values['json'] === true ? `${JSON.stringify(tuning)}\n` : describeTuning(tuning));
}

function describeTuning({ adapter, keptIn, products }: TrainingTuning): string {
  const variants = [...new Set(products.flatMap(({ candidates }) => candidates.map(({ variant }) => variant)))];
  const header = ['product', 'chosen', 'by rule', 'from', ...variants.map((variant) => `${variant} ms`)];
  const rows = products.map(({ key, chosen, byRule, from, candidates }) => [
    key,
    chosen,
    chosen === byRule ? '' : byRule,
    from,
    ...variants.map((variant) => {
      const nanoseconds = candidates.find((candidate) => candidate.variant === variant)?.nanoseconds ?? null;
      return nanoseconds === null ? '' : (nanoseconds / 1e6).toFixed(3);
    }),
  ]);
  const facts = [
    ['Device', formatAdapter(adapter)],
    ['Kept in', keptIn ?? 'nothing'],
  ];
  return `${formatTable(facts)}\n\n${formatTable([header, ...rows], { numbersFrom: 4 })}\n`;
}
