import { ConfigError, describeValue, type DataInspection, type ShownPiece, type ShownRow } from '@lapidary/trainer';
import { dataFacts, renderData } from '@lapidary/trainer/report';
import type { CliContext } from '../cli-context.js';
import { inFlagNames } from '../describe-error.js';
import { formatTable } from '../format-table.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';
import { UsageError } from '../usage-error.js';

/** What the model will see of the data: counts, and the first rows token by token; with `--out` as a page. */
export async function data(values: FlagValues, context: CliContext): Promise<void> {
  // Here --out names the page: nothing of a run is written.
  const { out, rows: rowsText = '5', ...trainValues } = values as Record<string, string>;
  if (out !== undefined && !/\.html?$/i.test(out))
    throw new UsageError({
      message: `--out ${out} is no name of a page.`,
      hint: '--out names an HTML page, such as data.html.',
    });
  const rows = readRowCount(rowsText);
  const config = await readTrainConfig(trainValues, context);
  const phases = new Set<string>();
  const found = await context.engine.inspectData(config, {
    rows,
    signal: context.signal,
    logger: {
      onPhase: ({ name }) => {
        if (!phases.has(name)) context.err(`${name} …\n`);
        phases.add(name);
      },
    },
  });
  for (const notice of found.notices) context.err(`Note: ${inFlagNames(notice)}\n`);
  context.out(values['json'] === true ? `${JSON.stringify(found)}\n` : describe(found, context.colours));
  if (out === undefined) return;
  await context.writeFile(out, renderData(found));
  context.err(`The page is in ${out}\n`);
}

function readRowCount(text: string): number {
  const rows = text.trim() === '' ? NaN : Number(text);
  if (Number.isSafeInteger(rows) && rows >= 0) return rows;
  const problem = { path: '--rows', found: describeValue(text), allowed: 'a whole number, 0 or more' };
  throw new ConfigError({ problems: [problem], subject: 'The command' });
}

function describe(found: DataInspection, colours: boolean): string {
  const shown = found.rows.map((row) => `\n${describeRow(row, colours)}\n`).join('');
  const legend = colours
    ? `${paint('learned', '1;32')}, ${paint('given', '2')}, ${paint('cut off', '9;31')}`
    : '⟦learned⟧, given, ✂cut off✂';
  return `${formatTable(dataFacts(found))}\n${shown === '' ? '' : `\nThe first rows; tokens end at |: ${legend}\n${shown}`}`;
}

function describeRow(
  { file, line, form, length, learned, patches, pictures, pieces }: ShownRow,
  colours: boolean,
): string {
  const places = patches === 0 ? '' : `, and ${patches} places of pictures (${pictures.join(', ')})`;
  const head = `${file}:${line} {${form}}, ${length} tokens, ${learned} learned${places}`;
  return `${head}\n${runsOf(pieces)
    .map(({ kind, text }) => (colours ? paint(text, colourOf[kind]) : marked(text, kind)))
    .join('|')}`;
}

type Kind = 'learned' | 'given' | 'cut';
const colourOf: Readonly<Record<Kind, string>> = { learned: '1;32', given: '2', cut: '9;31' };
const kindOf = ({ learned, cut }: ShownPiece): Kind => (cut ? 'cut' : learned ? 'learned' : 'given');

/** Neighbours of one kind together. */
function runsOf(pieces: readonly ShownPiece[]): { kind: Kind; text: string }[] {
  const runs: { kind: Kind; text: string }[] = [];
  for (const piece of pieces) {
    const kind = kindOf(piece);
    const text = visible(piece.text);
    const last = runs.at(-1);
    if (last?.kind === kind) last.text += `|${text}`;
    else runs.push({ kind, text });
  }
  return runs;
}

/** A line's end can be seen, and what would steer a terminal does not. */
const visible = (text: string) =>
  text
    .replace(
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g,
      (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
    .replaceAll('\n', '⏎\n');

const paint = (text: string, code: string) => `\u001b[${code}m${text}\u001b[0m`;
const marked = (text: string, kind: Kind) => (kind === 'learned' ? `⟦${text}⟧` : kind === 'cut' ? `✂${text}✂` : text);
