// Run by cli.node.test.ts in a process of its own, which gets a Ctrl-C: a run that ends as the loop's does when its signal fires.
import { TrainingInterruptedError } from '@lapidary/trainer';
import { abortOnSignals, runCli } from '../cli-node.js';
import { createStandInEngine } from './stand-in-engine.js';

const { engine } = createStandInEngine({
  runTraining: (_, { signal } = {}) =>
    new Promise((_resolve, reject) => {
      const alive = setInterval(() => undefined, 1000);
      signal?.addEventListener('abort', () => {
        if (process.argv[2] === 'hangs') return;
        clearInterval(alive);
        reject(new TrainingInterruptedError({ step: 7, checkpoint: 'checkpoints/step-00000007.json' }));
      });
      console.log('training');
    }),
});
process.exitCode = await runCli(['finetune', '--model', 'm', '--data', 'd'], {
  engine,
  version: '0',
  signal: abortOnSignals(),
});
