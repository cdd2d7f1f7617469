import { ConfigError, type ConfigProblem } from '@lapidary/trainer';
import { evaluationTable, renderEvaluation } from '@lapidary/trainer/report';
import type { CliContext } from '../cli-context.js';
import { formatTable } from '../format-table.js';
import { UsageError } from '../usage-error.js';
import { countRule, readNumber } from './answer-flags.js';
import { nameAdapters } from './name-adapters.js';
import { readTemplateKwargs } from './read-template-kwargs.js';
import { readQuantize } from './quantize-flag.js';

export interface EvalValues {
  readonly model?: string;
  readonly adapter?: readonly string[];
  readonly anyBase?: boolean;
  readonly quantize?: string;
  readonly data?: string;
  readonly promptKey?: string;
  readonly completionKey?: string;
  readonly chatTemplateKwargs?: string;
  readonly split?: string;
  readonly dataConfig?: string;
  readonly dataRevision?: string;
  readonly batchSize?: string;
  readonly maxTokens?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** Measures a model, and it with adapters, on rows: a table to standard output, and with `--out` a page with the answers. */
export async function evaluate(values: EvalValues, context: CliContext): Promise<void> {
  const { model, data, out, json } = values;
  for (const [flag, value] of [
    ['--model', model],
    ['--data', data],
  ])
    if (!value)
      throw new UsageError({ message: `${flag} must be given.`, hint: 'lapidary eval --help shows all options.' });
  if (out !== undefined && !/\.html?$/i.test(out))
    throw new UsageError({
      message: `--out ${out} is no name of a page.`,
      hint: '--out names an HTML page, such as eval.html.',
    });
  const problems: ConfigProblem[] = [];
  const batchSize = readNumber(problems, '--batch-size', values.batchSize, countRule) ?? 4;
  const maxTokens = readNumber(problems, '--max-tokens', values.maxTokens, countRule) ?? 64;
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  const { promptKey, completionKey, split, dataConfig: config, dataRevision: revision } = values;
  const chatTemplateKwargs = readTemplateKwargs(values.chatTemplateKwargs);
  const rows = { source: data!, promptKey, completionKey, chatTemplateKwargs, split, config, revision };
  const told = new Set<string>();
  const found = await context.engine.evaluateModel(
    {
      model: model!,
      adapters: nameAdapters(values.adapter ?? []),
      anyBase: values.anyBase,
      quantize: readQuantize(values.quantize),
      data: rows,
      batchSize,
      maxTokens,
    },
    {
      signal: context.signal,
      onNotice: (notice) => context.err(`Note: ${notice}\n`),
      onProgress: ({ name, total }) => {
        if (!told.has(name)) context.err(`${name}, ${total} …\n`);
        told.add(name);
      },
    },
  );
  for (const notice of found.notices) context.err(`Note: ${notice}\n`);
  context.out(`${json ? JSON.stringify(found) : formatTable(evaluationTable(found), { numbersFrom: 1 })}\n`);
  if (out === undefined) return;
  await context.writeFile(out, renderEvaluation(found));
  context.err(`The answers are in ${out}\n`);
}
