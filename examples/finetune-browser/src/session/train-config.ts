import { parseRow, readRows, resolveTrainConfig, type ResolvedTrainConfig, type TextualRow } from '@lapidary/trainer';
import type { WeightLoader } from '@lapidary/weights';
import { fileOfDataUrl } from './data-url.js';
import { Problem } from './problem.js';
import type { DataChoice, RunRequest } from './protocol.js';

/** Tokens of a held-out answer: a quarter of the longest row, within these. */
const leastAnswered = 12;
const mostAnswered = 48;
/** Losses are measured, and checkpoints written, about so many times in a run. */
const evaluations = 10;
const checkpoints = 20;
/** Steps: what a closed tab may cost at most. */
const mostUnsaved = 50;

/** Rows with the pictures themselves in the place of their names. @throws Problem for pictures that are not there */
async function rowsOf({ name, rows, pictures }: DataChoice): Promise<File | object[]> {
  const given: TextualRow[] = [];
  for await (const { value, line } of readRows(rows, name)) given.push(parseRow(value, name, line));
  if (!given.some((row) => 'prompt' in row && (row.image || row.images?.length))) return new File([rows], name);
  const pathOf = new Map<string, string>();
  const byName = new Map(pictures.map((picture) => [picture.name, picture]));
  const found = (path: unknown, line: number) => {
    if (typeof path !== 'string') return path;
    const complain = (message: string, hint: string) =>
      new Problem({ name: 'DatasetError', message: `${name}:${line}: ${message}`, hint });
    if (path.startsWith('data:')) {
      const hint = 'Write it as data:image/png;base64,… or name a file, and choose it together with the rows.';
      const file = fileOfDataUrl(path, `picture of line ${line}`);
      if (file === undefined) throw complain('the picture in its data: address is not in base64.', hint);
      return file;
    }
    if (/^\w+:/.test(path)) {
      const hint = 'Save it on this machine, name the file in the row, and choose it together with the rows.';
      throw complain(`the picture ${path} lies at an address; this page fetches nothing that rows name.`, hint);
    }
    const base = path.split('/').pop() ?? path;
    const picture = byName.get(base);
    if (picture === undefined)
      throw complain(
        `the picture ${path} is not among the files that were chosen.`,
        'Choose the pictures together with the rows.',
      );
    // Files come without their folders.
    if ((pathOf.get(base) ?? path) !== path)
      throw complain(
        `the pictures ${pathOf.get(base)} and ${path} have the same name.`,
        'Give pictures in different folders different names.',
      );
    pathOf.set(base, path);
    return picture;
  };
  return given.map(({ line, ...rest }) => {
    if (!('prompt' in rest)) return rest;
    return {
      ...rest,
      ...(rest.image && { image: found(rest.image, line) }),
      ...(rest.images && { images: rest.images.map((path) => found(path, line)) }),
    };
  });
}

/** The run that a request asks for. @throws ConfigError; Problem for pictures that are not there */
export async function trainConfigOf(
  { data, settings }: Pick<RunRequest, 'data' | 'settings'>,
  weightLoader: WeightLoader,
  { resume = false }: { readonly resume?: boolean } = {},
): Promise<ResolvedTrainConfig> {
  const { steps, learningRate, rank, batchSize, maxLength, gradientCheckpointing, answers = 4, seed } = settings;
  return resolveTrainConfig({
    weightLoader,
    data: { source: await rowsOf(data) },
    steps,
    batchSize,
    maxLength,
    gradientCheckpointing,
    seed,
    optimizer: { learningRate },
    lora: { rank, alpha: 2 * rank },
    evalEvery: Math.max(1, Math.round(steps / evaluations)),
    saveEvery: Math.max(1, Math.min(mostUnsaved, Math.round(steps / checkpoints))),
    sampleCount: answers,
    sampleTokens: Math.min(mostAnswered, Math.max(leastAnswered, Math.round(maxLength / 4))),
    resume,
  });
}
