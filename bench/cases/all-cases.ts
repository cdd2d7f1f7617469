import { attention } from './attention.js';
import type { BenchCase, Size } from './case.js';
import { coldStart, decode, fullStep, gemmaBlock, loraStep, weightLoading } from './gemma.js';
import { languageModel } from './language-model.js';
import { matmul } from './matmul.js';
import { mlp } from './mlp.js';
import { softmaxNorm } from './softmax-norm.js';

const families = [
  matmul,
  softmaxNorm,
  attention,
  mlp,
  languageModel,
  gemmaBlock,
  loraStep,
  fullStep,
  decode,
  weightLoading,
  coldStart,
];

/** Every case, from kernels to whole steps. */
export const allCases = (size: Size): BenchCase[] => families.flatMap((family) => family(size));
