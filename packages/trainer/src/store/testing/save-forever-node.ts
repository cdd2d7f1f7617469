// Run by checkpoint-kill.node.test.ts in a process of its own, which is killed: saves checkpoints into argv[2] without end.
import { createNodeFileStore } from '../file-store-node.js';
import { loadLatestCheckpoint } from '../load-checkpoint.js';
import { saveCheckpoint } from '../save-checkpoint.js';
import { contentOfStep } from './content-of-step.js';

const store = createNodeFileStore(process.argv[2]!);
const keepNewest = Number(process.argv[3]);
const start = (await loadLatestCheckpoint(store))?.step ?? 0;
console.log(`ready ${start}`);
for (let step = start + 1; ; step++) {
  await saveCheckpoint(store, step, contentOfStep(step), { newest: keepNewest });
  console.log(`saved ${step}`);
}
