export * from './dtype.js';
export * from './kernel-call.js';
export * from './run-kernels.js';
export * from './adafactor.js';
export * from './adamw.js';
export * from './lion.js';
export * from './sgd.js';
export {
  attentionBackward,
  attentionBackwardWorkspaceBytes,
  type AttentionBackwardArgs,
  type AttentionBackwardShape,
} from './attention-backward.js';
export { attentionForward, attentionWorkspaceBytes, type AttentionForwardArgs } from './attention-forward.js';
export {
  AttentionLimitError,
  type AttentionRule,
  type AttentionShape,
  type AttentionVariant,
} from './attention-plan.js';
export {
  checkKernels,
  type CheckKernelsOptions,
  type DisabledVariant,
  type KernelCheck,
  KernelCheckError,
} from './check/check-kernels.js';
export * from './convert.js';
export * from './cross-entropy.js';
export * from './elementwise.js';
export * from './embedding.js';
export * from './fill.js';
export { fmaProbe, type FmaProbeArgs } from './fma-probe.js';
export * from './geglu.js';
export * from './layer-norm.js';
export { matmulCandidates, productKey, type MatmulProduct, type MatmulVariant } from './matmul-variant.js';
export * from './matmul.js';
export type { MatmulArgs, MatmulNorm } from './matmul-args.js';
export * from './reduce.js';
export { reuseWorkspace } from './reuse-workspace.js';
export * from './rms-norm.js';
export * from './rope.js';
export * from './scatter-rows.js';
export * from './softmax.js';
export * from './strided-copy.js';
export * from './sum-of-squares.js';
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
