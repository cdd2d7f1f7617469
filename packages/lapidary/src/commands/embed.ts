import { ConfigError, type ConfigProblem } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import { UsageError } from '../usage-error.js';
import { countRule, readNumber } from './answer-flags.js';
import { readQuantize } from './quantize-flag.js';

export interface EmbedValues {
  readonly model?: string;
  readonly adapter?: string;
  readonly anyBase?: boolean;
  readonly quantize?: string;
  readonly data?: string;
  readonly key?: string;
  readonly prompt?: string;
  readonly size?: string;
  readonly batchSize?: string;
  readonly maxLength?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** Turns texts into vectors: a line of JSON each, to standard output or a file. */
export async function embed(given: readonly string[], values: EmbedValues, context: CliContext): Promise<void> {
  const { model, adapter, data, key, prompt, out } = values;
  const hint = 'lapidary embed --help shows all options.';
  if (!model) throw new UsageError({ message: '--model must be given.', hint });
  if (data !== undefined && given.length > 0)
    throw new UsageError({ message: 'Texts are given and --data too.', hint: 'Give one of them.' });
  if (key !== undefined && data === undefined)
    throw new UsageError({ message: '--key needs --data.', hint: 'It names the column of its rows.' });
  const problems: ConfigProblem[] = [];
  const size = readNumber(problems, '--size', values.size, countRule);
  const batchSize = readNumber(problems, '--batch-size', values.batchSize, countRule);
  const maxLength = readNumber(problems, '--max-length', values.maxLength, countRule);
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  const typed = data !== undefined ? null : given.length > 0 && given[0] !== '-' ? given : await readLines(context);
  const found = await context.engine.embed(
    {
      model,
      adapter: adapter ?? null,
      ...(values.anyBase && { anyBase: true }),
      quantize: readQuantize(values.quantize),
      texts: typed ?? { data: data!, key: key ?? 'text' },
      ...(prompt !== undefined && { prompt }),
      ...(size !== undefined && { size }),
      ...(batchSize !== undefined && { batchSize }),
      ...(maxLength !== undefined && { maxLength }),
    },
    { signal: context.signal, onNotice: (notice) => context.err(`Note: ${notice}\n`) },
  );
  const lines = found.texts.map((text, i) => `${JSON.stringify({ text, embedding: [...found.vectors[i]!] })}\n`);
  if (found.cut > 0)
    context.err(
      `Note: ${found.cut === 1 ? '1 text was' : `${found.cut} texts were`} cut to ${found.maxLength} tokens.\n`,
    );
  if (out === undefined) context.out(lines.join(''));
  else {
    await context.writeFile(out, lines.join(''));
    context.err(`${lines.length} vectors of ${found.vectors[0]!.length} values are in ${out}\n`);
  }
}

async function readLines(context: CliContext): Promise<string[]> {
  const lines = (await context.readInput()).split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length > 0) return lines;
  throw new UsageError({
    message: 'There are no texts.',
    hint: 'Give them as arguments, name rows with --data, or pipe lines in: lapidary embed --model … < lines.txt',
  });
}
