// What is no config is a compile error: `npm run typecheck` fails where one of these lines compiles.
import { expect, test } from 'vitest';
import { unopenedLoader } from '../testing/unopened-loader.js';
import type { TrainingOptions } from './run-types.js';
import type { TrainConfig } from './train-config.js';

const weightLoader = unopenedLoader();
const data = { source: 'rows.jsonl' };

test('what is no config does not compile', () => {
  const configs: TrainConfig[] = [
    { weightLoader, data },
    // @ts-expect-error a date is no source of rows
    { weightLoader, data: { source: new Date() } },
    // @ts-expect-error a loader opens weights
    { weightLoader: { open: () => undefined }, data },
    // @ts-expect-error there is no such optimiser
    { weightLoader, data, optimizer: { type: 'adam' } },
    // @ts-expect-error no linear is called so
    { weightLoader, data, lora: { targets: ['q_proj'] } },
    // @ts-expect-error momentum is of sgd
    { weightLoader, data, optimizer: { type: 'lion', momentum: 0.9 } },
  ];
  const options: TrainingOptions[] = [
    {},
    // @ts-expect-error a text is no device
    { gpu: 'not a gpu' },
  ];
  expect([configs.length, options.length]).toEqual([6, 2]);
});
