import { describe, expect, it } from 'vitest';
import { DatasetError } from './errors.js';
import { chooseEvalSplit, chooseSplits, listSplits } from './splits.js';

const filesBySplit = (files: readonly string[]) =>
  Object.fromEntries(listSplits(files, 'rows').map(({ name, files: found }) => [name, found]));

describe('files belong to the part that they, or their folder, are called after', () => {
  it.each<[readonly string[], object]>([
    [
      ['valid.jsonl', 'test.jsonl', 'train.jsonl', 'README.md', '.hidden.jsonl'],
      { train: ['train.jsonl'], valid: ['valid.jsonl'], test: ['test.jsonl'] },
    ],
    [
      [
        'data/train-00001-of-00002.parquet',
        'data/train-00000-of-00002.parquet',
        'data/validation-00000-of-00001.parquet',
      ],
      {
        train: ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'],
        validation: ['data/validation-00000-of-00001.parquet'],
      },
    ],
    [
      [
        'dataset_dict.json',
        'train/state.json',
        'train/dataset_info.json',
        'train/data-00000-of-00001.arrow',
        'train/cache-1f.arrow',
        'dev/data-00000-of-00001.arrow',
      ],
      { train: ['train/data-00000-of-00001.arrow'], dev: ['dev/data-00000-of-00001.arrow'] },
    ],
    [
      ['train_sft-00000-of-00001.parquet', 'test_sft-00000-of-00001.parquet'],
      { train_sft: ['train_sft-00000-of-00001.parquet'], test_sft: ['test_sft-00000-of-00001.parquet'] },
    ],
    [['rows.csv'], { train: ['rows.csv'] }],
    [
      ['data-00000-of-00002.arrow', 'data-00001-of-00002.arrow', 'state.json'],
      { train: ['data-00000-of-00002.arrow', 'data-00001-of-00002.arrow'] },
    ],
    [['training.tsv', 'trainer-notes.txt', 'Val.tsv'], { training: ['training.tsv'], Val: ['Val.tsv'] }],
  ])('%j', (files, expected) => expect(filesBySplit(files)).toEqual(expected));

  it.each<[readonly string[], RegExp]>([
    [[], /there are no rows in this folder/],
    [['notes.txt', 'image.png'], /there are no rows in this folder/],
    [['train.jsonl', 'train.csv'], /not clear which files hold the rows: train\.csv, train\.jsonl/],
    [['cats.jsonl', 'dogs.jsonl'], /not clear which files hold the rows: cats\.jsonl, dogs\.jsonl/],
  ])('%j is refused', (files, message) => {
    expect(() => listSplits(files, 'rows')).toThrow(DatasetError);
    expect(() => listSplits(files, 'rows')).toThrow(message);
  });
});

describe('what is learned from and evaluated on', () => {
  const splitsOf = (...names: string[]) => names.map((name) => ({ name, files: [`${name}.jsonl`] }));
  const chosen = (names: string[], wanted?: string) => {
    const { train, valid, unused } = chooseSplits(splitsOf(...names), wanted, 'rows');
    return [train.name, valid?.name ?? null, unused.map(({ name }) => name)];
  };

  it.each<[string[], string | undefined, unknown[]]>([
    [['train', 'validation', 'test'], undefined, ['train', 'validation', ['test']]],
    [['train', 'dev'], undefined, ['train', 'dev', []]],
    [['train', 'test'], undefined, ['train', null, ['test']]],
    [['test'], undefined, ['test', null, []]],
    [['train', 'valid', 'test'], 'test', ['test', null, ['train', 'valid']]],
    [['train', 'validation'], 'val', ['validation', null, ['train']]],
    [['train_sft', 'test_sft'], undefined, ['train_sft', null, ['test_sft']]],
  ])('%j, split %j', (names, wanted, expected) => expect(chosen(names, wanted)).toEqual(expected));

  it('is asked for where it is not clear', () => {
    expect(() => chosen(['train_sft', 'train_gen'])).toThrow(/^rows: which split is meant: train_sft, train_gen\?/);
    expect(() => chosen(['cats', 'dogs'])).toThrow(/which split is meant/);
    expect(() => chosen(['train', 'valid'], 'holdout')).toThrow(/there is no split 'holdout'; there are: train, valid/);
    expect(() => chooseEvalSplit(splitsOf('train', 'test'), undefined, 'rows')).toThrow(/which split is meant/);
    expect(chooseEvalSplit(splitsOf('train', 'valid'), undefined, 'rows').name).toBe('valid');
    expect(chooseEvalSplit(splitsOf('train', 'test'), 'test', 'rows').name).toBe('test');
    expect(chooseEvalSplit(splitsOf('rows'), undefined, 'rows').name).toBe('rows');
  });
});
