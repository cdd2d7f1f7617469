import { chooseEvalSplit, chooseSplits, listSplits } from '../../../packages/trainer/src/data/splits.js';
import type { Dice } from '../dice.js';
import { encode, type FuzzReader, mustHold } from '../reader.js';

const folders = ['', '', 'data/', 'train/', 'validation/', 'a/b/', '.git/', '../', 'Test/', 'default/partial-train/'];
const stems = ['train', 'valid', 'dev', 'test', 'rows', 'part', 'dataset_info', 'cache-1', 'state', 'TRAIN', 'eval_x'];
const shards = ['', '', '-00000-of-00002', '-00001-of-00002', '_1', '.0', '-'];
const endings = ['.jsonl', '.json', '.csv', '.tsv', '.parquet', '.arrow', '.feather', '.JSONL', '.md', '', '.'];

/** Files of a folder or a data set, sorted into what is learned from and what is evaluated on. */
export const rowFoldersReader: FuzzReader = {
  name: 'row-folders',
  make(dice: Dice) {
    const file = () =>
      dice.chance(0.05)
        ? dice.text()
        : `${dice.pick(folders)}${dice.pick(stems)}${dice.pick(shards)}${dice.pick(endings)}`;
    const ending = dice.pick(endings);
    const alike = () => `${dice.pick(stems)}${dice.pick(shards)}${ending}`;
    const names = dice.list(dice.below(6), dice.chance(0.6) ? alike : file);
    return { folder: encode(names.join('\0')), split: encode(dice.chance(0.3) ? dice.pick(stems) : '') };
  },
  async read({ folder, split }) {
    const files = new TextDecoder().decode(folder).split('\0');
    const wanted = new TextDecoder().decode(split) || undefined;
    const splits = listSplits(files, 'folder');
    const listed = splits.flatMap((each) => each.files);
    mustHold(
      listed.every((file) => files.includes(file)),
      'it lists files that there are not',
    );
    // A name that stands twice in the list is the list's.
    if (new Set(files).size === files.length) mustHold(new Set(listed).size === listed.length, 'it lists a file twice');
    const { train, valid, unused } = chooseSplits(splits, wanted, 'folder');
    mustHold(train !== valid && !unused.includes(train), 'what is learned from is evaluated on');
    mustHold(1 + Number(valid !== null) + unused.length === splits.length, 'a part is lost');
    mustHold(splits.includes(chooseEvalSplit(splits, wanted, 'folder')), 'it evaluates on what is not there');
  },
};
