import { DatasetError } from './errors.js';
import { isRowsFile } from './read-rows.js';

/** A part of a data set: what to learn from, to evaluate on, to test with. */
export interface Split {
  readonly name: string;
  /** In order. */
  readonly files: readonly string[];
  /** There is more of it, elsewhere. */
  readonly isPartial?: boolean;
}

/** Names that parts have, and what they are for. */
const roles = {
  train: /^train(ing)?([-_.]|$)/i,
  valid: /^(valid(ation)?|val|dev|eval)([-_.]|$)/i,
  test: /^test([-_.]|$)/i,
} as const;
type Role = keyof typeof roles;

const roleOf = (name: string): Role | undefined =>
  (Object.keys(roles) as Role[]).find((role) => roles[role].test(name));

/** A name of a file without what tells shards apart: `train-00000-of-00002.parquet` → `train`. */
const stemOf = (base: string) => base.replace(/\.\w+$/, '').replace(/([-_.]?\d+(-of-\d+)?)+$/, '');

/** What `datasets` keeps beside rows: what it knows of them, and results of `map`. */
const isOfDatasets = (base: string) =>
  /^(state|dataset_info|dataset_infos|dataset_dict)\.json$/.test(base) || /^(cache|tmp)-?.*\.arrow$/.test(base);

/**
 * Files of rows by the part they are of: that of a folder (`train/…`), or of their names (`train.jsonl`, `train-00000-of-00002.parquet`);
 * files without either are what to learn from.
 * @param files paths with `/`, in whatever order
 * @throws DatasetError where it is not clear which files belong together
 */
export function listSplits(files: readonly string[], name: string): Split[] {
  const fail = (message: string): never => {
    throw new DatasetError({ file: name, message });
  };
  const rows = files
    .filter((file) => isRowsFile(file) && !file.split('/').some((part) => part.startsWith('.')))
    .filter((file) => !isOfDatasets(file.split('/').at(-1)!))
    .sort();
  if (rows.length === 0)
    fail(
      'there are no rows in this folder: files of JSONL, JSON, CSV, TSV, Parquet or Arrow, such as train.jsonl and valid.jsonl',
    );
  const bySplit = new Map<string, string[]>();
  const others: string[] = [];
  for (const file of rows) {
    const parts = file.split('/');
    const base = parts.pop()!;
    const split = [...parts, stemOf(base)].find((part) => roleOf(part) !== undefined);
    if (split === undefined) others.push(file);
    else bySplit.set(split, [...(bySplit.get(split) ?? []), file]);
  }
  if (bySplit.size === 0) bySplit.set('train', others);
  for (const [split, found] of bySplit) {
    const kinds = new Set(
      found.map((file) => `${split === 'train' && bySplit.size === 1 ? stemOf(file) : ''}.${file.split('.').at(-1)}`),
    );
    if (kinds.size > 1)
      fail(
        `it is not clear which files hold the rows: ${found.slice(0, 10).join(', ')}. Name one of them, or call them such as train.jsonl, valid.jsonl and test.jsonl.`,
      );
  }
  return [...bySplit].map(([split, found]) => ({ name: split, files: found }));
}

/** What is learned from, what is evaluated on, and what is left. */
export interface ChosenSplits {
  readonly train: Split;
  /** null: a part of `train` is held out. */
  readonly valid: Split | null;
  readonly unused: readonly Split[];
}

/** Chooses among the parts of a data set to train on: `wanted`, and nothing beside it, or those that are called train and valid. */
export function chooseSplits(splits: readonly Split[], wanted: string | undefined, name: string): ChosenSplits {
  if (wanted !== undefined) {
    const train = named(splits, wanted, name);
    return { train, valid: null, unused: splits.filter((split) => split !== train) };
  }
  const [only] = splits;
  const train = splits.length === 1 && only !== undefined ? only : ofRole(splits, 'train', name);
  if (train === undefined) return ambiguous(splits, name);
  const valid = splits.length === 1 ? undefined : ofRole(splits, 'valid', name);
  return { train, valid: valid ?? null, unused: splits.filter((split) => split !== train && split !== valid) };
}

/** Chooses what to evaluate on: `wanted`, or what is called valid, or the only part. */
export function chooseEvalSplit(splits: readonly Split[], wanted: string | undefined, name: string): Split {
  if (wanted !== undefined) return named(splits, wanted, name);
  const [only] = splits;
  return ofRole(splits, 'valid', name) ?? (splits.length === 1 && only !== undefined ? only : ambiguous(splits, name));
}

function named(splits: readonly Split[], wanted: string, name: string): Split {
  const exact = splits.find((split) => split.name === wanted);
  const alike = splits.filter((split) => roleOf(wanted) !== undefined && roleOf(split.name) === roleOf(wanted));
  const found = exact ?? (alike.length === 1 ? alike[0] : undefined);
  if (found !== undefined) return found;
  throw new DatasetError({ file: name, message: `there is no split '${wanted}'; there are: ${namesOf(splits)}` });
}

function ofRole(splits: readonly Split[], role: Role, name: string): Split | undefined {
  const found = splits.filter((split) => roleOf(split.name) === role);
  return found.length > 1 ? ambiguous(found, name) : found[0];
}

const namesOf = (splits: readonly Split[]) => splits.map((split) => split.name).join(', ');

function ambiguous(splits: readonly Split[], name: string): never {
  throw new DatasetError({
    file: name,
    message: `which split is meant: ${namesOf(splits)}? Name one with \`data.split\`.`,
  });
}
