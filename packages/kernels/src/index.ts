export * from './dtype.js';
export * from './kernel-call.js';
export * from './run-kernels.js';
export * from './optimizer/adafactor.js';
export * from './optimizer/adamw.js';
export * from './optimizer/lion.js';
export * from './optimizer/sgd.js';
export {
  attentionBackward,
  attentionBackwardWorkspaceBytes,
  type AttentionBackwardArgs,
  type AttentionBackwardShape,
} from './attention/attention-backward.js';
export { attentionForward, attentionWorkspaceBytes, type AttentionForwardArgs } from './attention/attention-forward.js';
export {
  AttentionLimitError,
  type AttentionRule,
  type AttentionShape,
  type AttentionVariant,
} from './attention/attention-plan.js';
export {
  checkKernels,
  type CheckKernelsOptions,
  type DisabledVariant,
  type KernelCheck,
  KernelCheckError,
} from './check/check-kernels.js';
export * from './quant/convert.js';
export * from './loss/cross-entropy.js';
export * from './elementwise/elementwise.js';
export * from './embedding/embedding.js';
export * from './copy/fill.js';
export { fmaProbe, type FmaProbeArgs } from './probe/fma-probe.js';
export * from './activation/geglu.js';
export * from './norm/layer-norm.js';
export { productKey, type MatmulProduct } from './matmul/matmul-product.js';
export { matmulCandidates } from './matmul/matmul-variant.js';
export type { MatmulVariant } from './matmul/matmul-variant-names.js';
export * from './matmul/matmul.js';
export type { MatmulArgs, MatmulNorm } from './matmul/matmul-args.js';
export * from './reduce/reduce.js';
export { reuseWorkspace } from './reuse-workspace.js';
export * from './norm/rms-norm.js';
export * from './rope/rope.js';
export * from './copy/scatter-rows.js';
export * from './softmax/softmax.js';
export * from './copy/strided-copy.js';
export { stridesOf } from './strides.js';
export * from './reduce/sum-of-squares.js';
export { profileClock, timePasses, type ProfileClock } from './time-passes.js';
export type { ChoiceStore } from './tune/choice-store.js';
export {
  choicesOf,
  deviceKey,
  tuneKernels,
  type KernelTuning,
  type TuneClock,
  type TunedCandidate,
  type TunedProduct,
  type TuneKernelsOptions,
} from './tune/tune-kernels.js';
export * from './weight-conditions.js';
export { BindingLimitError, rowWindows } from './windows.js';
