import type { DeviceProfile } from '@lapidary/gpu';
import {
  align,
  ALIGNMENT,
  attentionVariant,
  batchRuns,
  batchWindow,
  checkShape,
  geometries,
  pairFlops,
  ruleFields,
  shaderOptions,
  type AttentionRule,
  type AttentionShape,
  type AttentionVariant,
} from './attention-plan.js';
import { foldWorkgroups, type Binding, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { variantId } from '../variants.js';

/** Operands of `attentionForward`. */
export interface AttentionForwardArgs<B> extends AttentionShape, AttentionRule {
  /** f32 [B, Tq, H, D]. */
  readonly q: Operand<B>;
  /** f32 [B, S, K, D]. */
  readonly k: Operand<B>;
  /** f32 [B, S, K, D]. */
  readonly v: Operand<B>;
  /** i32 [B, Tq, 4]: (segment, block, position, 0) of every query. Segments are 0 (padding) or positive. */
  readonly qInfo: Operand<B>;
  /** i32 [B, S, 4]: the same of every key. May be the same buffer as `qInfo`. */
  readonly kInfo: Operand<B>;
  /** f32 [B, Tq, H, D], written. A query that sees no key gets 0. */
  readonly out: Operand<B>;
  /** f32 [B, H, Tq], written: log Σ exp(score) over the keys seen; 0 where none is. The backward pass needs it. */
  readonly lse: Operand<B>;
  /** f32, `attentionWorkspaceBytes` long; without it a few queries of many keys (decoding) run on few lanes. */
  readonly workspace?: Operand<B>;
  /** Default: what this device is fast with. */
  readonly variant?: AttentionVariant;
}

/** Fewer keys than this are not worth another part. */
const MIN_SPLIT_KEYS = 64;

interface Splits {
  readonly splits: number;
  readonly keysPerSplit: number;
}

/** Rows of a block: fewer where there are fewer (decoding). */
function rowsOwned({ queries, heads, kvHeads }: AttentionShape, variant: AttentionVariant): number {
  const { own } = geometries[variant];
  return variant === 'subgroup' && (queries * heads) / kvHeads <= own / 2 ? own / 2 : own;
}

function chooseSplits(shape: AttentionShape, variant: AttentionVariant): Splits {
  const { batch, queries, keys, heads, kvHeads } = shape;
  const { streamed, busy } = geometries[variant];
  const blocks = batch * kvHeads * Math.ceil((queries * heads) / kvHeads / rowsOwned(shape, variant));
  const wanted = Math.min(Math.ceil(busy / blocks), Math.ceil(keys / MIN_SPLIT_KEYS));
  const keysPerSplit = Math.ceil(keys / wanted / streamed) * streamed;
  return { splits: Math.ceil(keys / keysPerSplit), keysPerSplit };
}

/** Bytes of workspace that let `attentionForward` share the keys of a few queries among many threads; 0 where it would not. */
export function attentionWorkspaceBytes(
  profile: DeviceProfile,
  shape: AttentionShape,
  variant?: AttentionVariant,
): number {
  const { splits } = chooseSplits(shape, variant ?? attentionVariant(profile, 'attentionForward'));
  return splits === 1 ? 0 : align(splits * rowBytes(shape).out, ALIGNMENT) + splits * rowBytes(shape).lse;
}

/** Bytes of the operands, whole. */
function rowBytes({ batch, queries, heads, headDim }: AttentionShape): { out: number; lse: number } {
  return { out: batch * queries * heads * headDim * 4, lse: batch * queries * heads * 4 };
}

/**
 * out = softmax(mask(cap(scale · q kᵀ))) v, one pass over the keys, nothing of size queries × keys
 * (`shaders/attention/forward.wesl`, `forward_tiled.wesl`). Operands beyond one binding are walked in runs of batch rows.
 * @throws AttentionLimitError for a head dimension that is no multiple of 4 up to 512, or a batch row beyond one binding.
 */
export function attentionForward<B>(profile: DeviceProfile, args: AttentionForwardArgs<B>): KernelCall<B>[] {
  checkShape(args);
  const { batch, queries, keys, heads, kvHeads, headDim } = args;
  const variant = args.variant ?? attentionVariant(profile, 'attentionForward');
  const qBytes = queries * heads * headDim * 4;
  const kBytes = keys * kvHeads * headDim * 4;
  const runs = batchRuns(profile, batch, Math.max(qBytes, kBytes, queries * 16, keys * 16));
  const limit = profile.limits.maxStorageBufferBindingSize;
  let { splits, keysPerSplit } = chooseSplits(args, variant);
  const splitBytes = align(splits * batch * qBytes, ALIGNMENT);
  if (args.workspace === undefined || runs.length > 1 || splitBytes > limit) [splits, keysPerSplit] = [1, keys];

  const group = heads / kvHeads;
  const { suffix, blocksPerWorkgroup, bound } = geometries[variant];
  const own = rowsOwned(args, variant);
  const options = shaderOptions(profile, variant, args, headDim);
  const rowBlocks = Math.ceil((queries * group) / own);
  const rule = ruleFields(args);
  const calls: KernelCall<B>[] = [];
  for (const [first, count] of runs) {
    const q = batchWindow(args.q, qBytes, 16, first, count, 'read');
    const k = batchWindow(args.k, kBytes, 16, first, count, 'read');
    const v = batchWindow(args.v, kBytes, 16, first, count, 'read');
    const qInfo = batchWindow(args.qInfo, queries * 16, 16, first, count, 'read');
    const kInfo = batchWindow(args.kInfo, keys * 16, 16, first, count, 'read');
    const out = batchWindow(args.out, qBytes, 16, first, count, 'read_write');
    const lse = batchWindow(args.lse, queries * heads * 4, 4, first, count, 'read_write');
    const blocks = count * splits * kvHeads * rowBlocks;
    const parts =
      args.workspace !== undefined && splits > 1
        ? {
            out: batchWindow(args.workspace, splits * count * qBytes, 16, 0, 1, 'read_write').binding,
            lse: batchWindow(
              { ...args.workspace, offset: args.workspace.offset + splitBytes },
              splits * count * queries * heads * 4,
              4,
              0,
              1,
              'read_write',
            ).binding,
          }
        : { out: out.binding, lse: lse.binding };
    calls.push(
      shaderCall(`attention/forward${suffix}`, {
        ...options,
        conditions: { ...options.conditions, OWN16: own === 16 },
        uniforms: {
          ...{ queries, keys, heads, kv_heads: kvHeads, group, d4: headDim / 4, row_blocks: rowBlocks, blocks },
          ...{ ...rule, splits, split_keys: keysPerSplit },
          ...{ split_out: (count * qBytes) / 16, split_lse: count * queries * heads },
          ...{ lse_start: splits > 1 ? 0 : lse.start, q_start: q.start, k_start: k.start },
          ...{ q_info_start: qInfo.start, k_info_start: kInfo.start, bound },
        },
        bindings: {
          ...{ q: q.binding, k: k.binding, v: v.binding },
          ...{ q_info: qInfo.binding, k_info: kInfo.binding, ...parts },
        },
        workgroups: foldWorkgroups(
          Math.ceil(blocks / blocksPerWorkgroup),
          profile.limits.maxComputeWorkgroupsPerDimension,
        ),
        variant: splits > 1 ? `${variant}, keys in ${splits} parts` : variant,
        ...variantId('attentionForward', variant),
        work: { flops: pairFlops({ ...args, batch: count }, args, 2) },
      }),
    );
    if (splits > 1) {
      const rows = count * queries * heads;
      const read = (part: Binding<B>): Binding<B> => ({ ...part, access: 'read' });
      calls.push(
        shaderCall('attention/combine', {
          uniforms: { rows, queries, heads, d4: headDim / 4, splits },
          bindings: {
            part_out: read(parts.out),
            part_lse: read(parts.lse),
            out: out.binding,
            lse: lse.binding,
          },
          workgroups: foldWorkgroups(
            Math.ceil((rows * headDim) / 4 / 64),
            profile.limits.maxComputeWorkgroupsPerDimension,
          ),
          variant: 'plain',
        }),
      );
    }
  }
  return calls;
}
