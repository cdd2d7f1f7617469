import { dataFlags } from './data.js';
import { lengthFlags } from './length.js';
import { memoryFlags } from './memory.js';
import { objectiveFlags } from './objective.js';
import { optimizerFlags } from './optimizer.js';
import { outputFlags } from './output.js';
import { picturesFlags } from './pictures.js';
import { speedFlags } from './speed.js';
import { trainedFlags } from './trained.js';
import type { TrainFlag } from './train-flag.js';

/** The options of runs, in the order of the help. Defaults stand in TrainConfig and are only told here. */
export const trainFlags: readonly TrainFlag[] = [
  ...dataFlags,
  ...lengthFlags,
  ...optimizerFlags,
  ...objectiveFlags,
  ...trainedFlags,
  ...picturesFlags,
  ...memoryFlags,
  ...speedFlags,
  ...outputFlags,
];
