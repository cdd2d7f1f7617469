import { group } from './train-flag.js';

export const lengthFlags = group('Length of the run', [
  { name: '--steps', value: '<n>', path: 'steps', kind: 'number', help: 'optimizer steps' },
  { name: '--epochs', value: '<n>', path: 'epochs', kind: 'number', help: 'passes over the data (default: 1)' },
  {
    name: '--batch-size',
    value: '<rows>',
    path: 'batchSize',
    kind: 'number',
    help: 'rows in a micro-batch (default: 4)',
  },
  {
    name: '--accumulate',
    value: '<n>',
    path: 'gradientAccumulation',
    kind: 'number',
    help: 'micro-batches in an optimizer step (default: 1)',
  },
  {
    name: '--seed',
    value: '<n>',
    path: 'seed',
    kind: 'number',
    help: 'for shuffling, the eval split and new weights (default: 42)',
  },
]);
