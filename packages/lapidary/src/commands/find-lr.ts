import { ConfigError, describeValue, type ConfigProblem } from '@lapidary/trainer';
import { rateSearchFacts, renderRateSearch } from '@lapidary/trainer/report';
import type { CliContext } from '../cli-context.js';
import { inFlagNames } from '../describe-error.js';
import { formatTable } from '../format-table.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';
import { toNumber } from '../to-number.js';
import { UsageError } from '../usage-error.js';

/** Searches for a learning rate: what it found to standard output, and with `--out` a page with the losses. */
export async function findLr(values: FlagValues, context: CliContext): Promise<void> {
  // Here --out names the page and --steps counts rates: nothing of a run is written.
  const { out, from, to, steps, ...trainValues } = values as Record<string, string>;
  if (out !== undefined && !/\.html?$/i.test(out))
    throw new UsageError({
      message: `--out ${out} is no name of a page.`,
      hint: 'find-lr writes no run: --out names an HTML page, such as lr.html.',
    });
  const range = readRange({ from, to, steps });
  const config = await readTrainConfig(trainValues, context);
  const phases = new Set<string>();
  const found = await context.engine.findLearningRate(config, {
    ...range,
    signal: context.signal,
    logger: {
      onPhase: ({ name }) => {
        if (!phases.has(name)) context.err(`${name} …\n`);
        phases.add(name);
      },
      onNotice: (message) => context.err(`Note: ${inFlagNames(message)}\n`),
    },
  });
  context.out(`${values['json'] === true ? JSON.stringify(found) : formatTable(rateSearchFacts(found))}\n`);
  if (out === undefined) return;
  await context.writeFile(out, renderRateSearch(found));
  context.err(`The page is in ${out}\n`);
}

type Range = { readonly from: number; readonly to: number; readonly steps: number };

/** @throws ConfigError naming every option that is no such number */
function readRange(texts: { readonly [K in keyof Range]: string | undefined }): Range {
  const problems: ConfigProblem[] = [];
  const read = (name: keyof Range, usual: number, allowed: string, fits: (value: number) => boolean): number => {
    const text = texts[name];
    const value = text === undefined ? usual : toNumber(text);
    if (value !== undefined && fits(value)) return value;
    problems.push({ path: `--${name}`, found: describeValue(text ?? usual), allowed });
    return usual;
  };
  const from = read('from', 1e-7, 'a number above 0', (value) => value > 0 && Number.isFinite(value));
  const to = read('to', 1, `a number above --from ${from}`, (value) => value > from && Number.isFinite(value));
  const steps = read('steps', 100, 'a whole number, 20 or more', (value) => Number.isSafeInteger(value) && value >= 20);
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  return { from, to, steps };
}
