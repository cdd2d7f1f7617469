import { group } from './train-flag.js';

export const memoryFlags = group('Memory', [
  {
    name: '--gradient-checkpointing',
    path: 'gradientCheckpointing',
    kind: 'switch',
    help: 'much less memory, but slower',
  },
  {
    name: '--memory-budget',
    value: '<size>',
    path: 'memoryBudget',
    kind: 'bytes',
    help: 'such as 6GiB: activations of as few blocks as possible are computed again, to stay within it',
  },
]);
