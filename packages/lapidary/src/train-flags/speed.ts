import { group } from './train-flag.js';

export const speedFlags = group('Speed', [
  {
    name: '--kernel-tuning',
    value: '<when>',
    path: 'kernelTuning',
    kind: 'text',
    help: 'measure which kernels are fastest, once a device: auto (on GPUs), always or never (default: auto)',
  },
  {
    name: '--matmul-precision',
    value: '<type>',
    path: 'matmulPrecision',
    kind: 'text',
    help: 'float16: matrix products round their operands to f16, where the GPU has tensor cores for it (default: float32)',
  },
]);
