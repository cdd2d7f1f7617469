import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { variantId, workgroupOrPlain } from '../variants.js';
import { bind, rowWindows } from '../windows.js';

/** One chunk of classes: `logits` f32 [rows, rowStride], whose first `chunkSize` columns are the classes from `chunkStart` on. */
export interface CrossEntropyChunk<B> {
  readonly logits: Operand<B>;
  /** i32 [rows]; negative: the row is ignored. */
  readonly targets: Operand<B>;
  readonly rows: number;
  readonly chunkStart: number;
  readonly chunkSize: number;
  readonly rowStride: number;
  /** Logits become cap · tanh(logit / cap); 0: no cap. */
  readonly softcap: number;
  /** Left out: the target is all of one class. */
  readonly smoothing?: LabelSmoothing;
}

/** The target is `epsilon` of all classes alike and 1 − `epsilon` of its own (Szegedy et al. 2015, arXiv:1512.00567). */
export interface LabelSmoothing {
  /** Above 0, at most 1. */
  readonly epsilon: number;
  /** Of the whole vocabulary, all chunks together. */
  readonly classes: number;
}

const smoothed = (smoothing: LabelSmoothing | undefined) => ({ SMOOTHED: smoothing !== undefined });

/** What the target's own class keeps, and what each class has a share of. */
const smoothingFields = (smoothing: LabelSmoothing | undefined) =>
  smoothing ? { keep: 1 - smoothing.epsilon, share: smoothing.epsilon / smoothing.classes } : { keep: 0, share: 0 };

/** The uniform struct for so many rows of a chunk. */
const chunkFields = <B>(
  { chunkStart, chunkSize, rowStride, softcap, smoothing }: CrossEntropyChunk<B>,
  rows: number,
) => ({
  ...{ rows, start: chunkStart, size: chunkSize, stride: rowStride, softcap },
  ...smoothingFields(smoothing),
});

/** How the forward pass shares a row: one thread, or a workgroup, the default on adapters that are not software. */
export type CrossEntropyVariant = 'plain' | 'workgroup';

const isVec = (chunkSize: number, rowStride: number) => chunkSize % 4 === 0 && rowStride % 4 === 0;

/** Takes a chunk into `state` f32 [rows, 4] = running (max, Σ e^(x − max), target's x, Σ x if smoothed); `first` begins it anew. */
export function crossEntropyChunkForward<B>(
  profile: DeviceProfile,
  args: CrossEntropyChunk<B> & {
    readonly state: Operand<B>;
    readonly first: boolean;
    readonly variant?: CrossEntropyVariant;
  },
): KernelCall<B>[] {
  const { logits, targets, state, rows, chunkSize, rowStride, first, smoothing } = args;
  const variant = args.variant ?? workgroupOrPlain(profile, 'crossEntropyChunkForward');
  const shared = variant === 'workgroup';
  return rowWindows(rows, [rowStride * 4, 16, 4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) =>
    shaderCall('loss/cross_entropy', {
      conditions: {
        FORWARD: true,
        FIRST: first,
        VEC: isVec(chunkSize, rowStride),
        WORKGROUP: shared,
        ...smoothed(smoothing),
      },
      uniforms: chunkFields(args, count),
      bindings: {
        targets: bind(targets, 'read', count * 4, start * 4),
        logits: bind(logits, 'read', count * rowStride * 4, start * rowStride * 4),
        state: bind(state, 'read_write', count * 16, start * 16),
      },
      workgroups: foldWorkgroups(
        shared ? count : Math.ceil(count / 32),
        profile.limits.maxComputeWorkgroupsPerDimension,
      ),
      variant,
      ...variantId('crossEntropyChunkForward', variant),
    }),
  );
}

/**
 * From the state after the last chunk: loss f32 [rows] in nats (0 where ignored), lse f32 [rows], and correct f32 [rows], 1 where no
 * class is likelier than the target.
 */
export function crossEntropyFinish<B>(
  profile: DeviceProfile,
  {
    state,
    targets,
    loss,
    lse,
    correct,
    rows,
    smoothing,
  }: {
    readonly state: Operand<B>;
    readonly targets: Operand<B>;
    readonly loss: Operand<B>;
    readonly lse: Operand<B>;
    readonly correct: Operand<B>;
    readonly rows: number;
    readonly smoothing?: LabelSmoothing;
  },
): KernelCall<B>[] {
  return rowWindows(rows, [16, 4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) =>
    shaderCall('loss/cross_entropy', {
      conditions: { FINISH: true, ...smoothed(smoothing) },
      uniforms: { rows: count, start: 0, size: 0, stride: 0, softcap: 0, ...smoothingFields(smoothing) },
      bindings: {
        targets: bind(targets, 'read', count * 4, start * 4),
        state: bind(state, 'read', count * 16, start * 16),
        loss: bind(loss, 'read_write', count * 4, start * 4),
        lse: bind(lse, 'read_write', count * 4, start * 4),
        correct: bind(correct, 'read_write', count * 4, start * 4),
      },
      workgroups: foldWorkgroups(Math.ceil(count / 32), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: 'plain',
    }),
  );
}

/** Turns a chunk's logits, in place, into the gradient of Σ dLoss[r] · loss[r] with respect to them (before the cap). */
export function crossEntropyChunkBackward<B>(
  profile: DeviceProfile,
  args: CrossEntropyChunk<B> & { readonly lse: Operand<B>; readonly dLoss: Operand<B> },
): KernelCall<B>[] {
  const { logits, targets, lse, dLoss, rows, chunkSize, rowStride, smoothing } = args;
  return rowWindows(rows, [rowStride * 4, 4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) =>
    shaderCall('loss/cross_entropy', {
      conditions: { BACKWARD: true, VEC: isVec(chunkSize, rowStride), ...smoothed(smoothing) },
      uniforms: chunkFields(args, count),
      bindings: {
        targets: bind(targets, 'read', count * 4, start * 4),
        logits: bind(logits, 'read_write', count * rowStride * 4, start * rowStride * 4),
        lse: bind(lse, 'read', count * 4, start * 4),
        d_loss: bind(dLoss, 'read', count * 4, start * 4),
      },
      workgroups: foldWorkgroups(
        Math.ceil((count * Math.ceil(chunkSize / 4)) / 32),
        profile.limits.maxComputeWorkgroupsPerDimension,
      ),
      variant: 'plain',
      work: { bytes: count * (chunkSize * 8 + 12) },
    }),
  );
}
