import { ConfigError, describeValue, type TrainingProfile } from '@lapidary/trainer';
import { profileTable, renderProfile } from '@lapidary/trainer/report';
import type { CliContext } from '../cli-context.js';
import { formatTable } from '../format-table.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';
import { toNumber } from '../to-number.js';
import { UsageError } from '../usage-error.js';

/** Where the time of a step goes: a table to standard output, and a page with a timeline. */
export async function profile(values: FlagValues, context: CliContext): Promise<void> {
  // Here --out names the page: nothing of a run is written.
  const { out = 'profile.html', runs: runsText = '3', ...trainValues } = values as Record<string, string>;
  if (!/\.html?$/i.test(out))
    throw new UsageError({
      message: `--out ${out} is no name of a page.`,
      hint: 'profile writes no run: --out names the HTML page with the timeline, such as profile.html.',
    });
  const runs = readRuns(runsText);
  const config = await readTrainConfig(trainValues, context);
  const phases = new Set<string>();
  const measured = await context.engine.profileTraining(config, {
    runs,
    signal: context.signal,
    logger: {
      onPhase: ({ name }) => {
        if (!phases.has(name)) context.err(`${name} …\n`);
        phases.add(name);
      },
      onNotice: (message) => context.err(`Note: ${message}\n`),
    },
  });
  context.out(values['json'] === true ? `${JSON.stringify(measured)}\n` : describeProfile(measured));
  await context.writeFile(out, renderProfile(measured));
  context.err(`The timeline is in ${out}\n`);
}

function readRuns(text: string): number {
  const runs = toNumber(text) ?? NaN;
  if (Number.isSafeInteger(runs) && runs >= 1) return runs;
  const problem = { path: '--runs', found: describeValue(text), allowed: 'a whole number, 1 or more' };
  throw new ConfigError({ problems: [problem], subject: 'The command' });
}

function describeProfile(measured: TrainingProfile): string {
  const { facts, header, rows, total, numbersFrom } = profileTable(measured);
  return `${formatTable(facts)}\n\n${formatTable([header, ...rows, total], { numbersFrom })}\n`;
}
