export { checkpoint, gradients, nodesBelow, NotDifferentiableError, valueAndGrad } from './autograd.js';
export { formatType, sizeOf, Tensor, TensorShapeError, type GraphNode, type TensorType } from './graph.js';
export { adafactor, adafactorMoments, type AdafactorArgs, type AdafactorMoments } from './ops/adafactor.js';
export { adamw, type AdamWArgs } from './ops/adamw.js';
export { attention, rope, type AttentionOptions, type RopeOptions } from './ops/attention.js';
export { linearCrossEntropy, type CrossEntropyOptions, type TokenLosses } from './ops/cross-entropy.js';
export * from './ops/elementwise.js';
export { embedding, scatterRows } from './ops/embedding.js';
export { lion, type LionArgs } from './ops/lion.js';
export { doraRowScale, type DoraParams } from './ops/dora.js';
export { linear, type LinearParams, type LoraParams } from './ops/linear.js';
export { matmul, type MatmulOptions } from './ops/matmul.js';
export { geglu } from './ops/mlp.js';
export { layerNorm, rmsNorm, type RmsNormOptions } from './ops/norm.js';
export { max, mean, min, softmax, sum, sumOfSquares } from './ops/reduce.js';
export { sgd, type SgdArgs } from './ops/sgd.js';
export { cast, concat, constantI32, reshape, slice, split, stopGradient, transpose } from './ops/shape.js';
export {
  compile,
  evaluate,
  input,
  RunResult,
  TensorLike,
  trace,
  type CompiledFunction,
  type HostTensor,
  type InputsOf,
  type OutputNames,
  type Traced,
} from './program/compile.js';
export { planProgram, type InputTypes, type MemoryPlan, type ProgramPlan, type Update } from './program/plan.js';
export { copySpeed, leastNanoseconds, measureCeiling, type Ceiling } from './program/ceiling.js';
export {
  sumByKernel,
  type DispatchTime,
  type KernelTime,
  type ProfileOptions,
  type ProgramProfile,
  type SumOptions,
} from './program/profile.js';
export {
  DisabledVariantError,
  Program,
  ProgramInputError,
  ProgramOutputError,
  sharedInputBytes,
  sharedSlotBytes,
  SlotPool,
  type HostData,
  type HostInputs,
} from './program/program.js';
export { profileClock, type ProfileClock } from '@lapidary/kernels';
export { treeEntries, treeFromEntries, type Tree } from './tree.js';
export { Variable, variableFrom, VariableError, type VariableCategory } from './variable.js';
