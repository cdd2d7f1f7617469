import { createNodeFileStore } from '@lapidary/trainer/node';
import { compareRuns, readRun, renderComparison, renderReport } from '@lapidary/trainer/report';
import type { CliContext } from '../cli-context.js';
import { formatTable } from '../format-table.js';
import { UsageError } from '../usage-error.js';

export interface ReportValues {
  readonly out?: string;
  readonly json?: boolean;
}

/** The report of a run, made anew from its files, or of several side by side: a table to standard output, with `--out` a page. */
export async function report(
  folders: readonly string[],
  { out, json }: ReportValues,
  context: CliContext,
): Promise<void> {
  if (out !== undefined && !/\.html?$/i.test(out))
    throw new UsageError({
      message: `--out ${out} is no name of a page.`,
      hint: '--out names an HTML page, such as report.html.',
    });
  const runs = await Promise.all(folders.map((folder) => readRun(createNodeFileStore(folder))));
  const found = compareRuns(runs);
  const table = [['', ...found.names], ...found.summary, ...found.settings].map((row) => [...row]);
  context.out(`${json ? JSON.stringify(found) : formatTable(table)}\n`);
  if (out === undefined) return;
  const [only] = runs;
  await context.writeFile(out, runs.length === 1 && only ? renderReport(only) : renderComparison(runs));
  context.err(`The page is in ${out}\n`);
}
