import { group } from './train-flag.js';

export const memoryFlags = group('Memory', [
  {
    name: '--gradient-checkpointing',
    path: 'gradientCheckpointing',
    kind: 'switch',
    help: 'much less memory, but slower',
  },
  {
    name: '--quantize',
    value: '<type>',
    path: 'quantize',
    kind: 'text',
    help: 'the frozen base becomes q8_0, q4_0 or nf4 while it is read, half or a quarter of bf16: QLoRA (default: as in the file)',
  },
  {
    name: '--memory-budget',
    value: '<size>',
    path: 'memoryBudget',
    kind: 'bytes',
    help: 'such as 6GiB: activations of as few blocks as possible are computed again, to stay within it',
  },
]);
