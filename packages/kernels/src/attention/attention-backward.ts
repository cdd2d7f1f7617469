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
  type AttentionVariant,
} from './attention-plan.js';
import { foldWorkgroups, type Binding, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { variantId } from '../variants.js';

/** Threads of the plain variant that keep a CPU busy: some lanes of some cores. */
const FEWEST_THREADS = 16;
/** Rows of a panel are a multiple of this: what any variant walks or owns at a time. */
const PANEL_STEP = 32;
/** A workspace of this size is no matter, however small the tensors. */
const SMALL_BYTES = 4 * 2 ** 20;

/** Self-attention only: as many keys as queries, of the same tokens. */
export interface AttentionBackwardShape {
  /** B. */
  readonly batch: number;
  /** T. */
  readonly tokens: number;
  /** H, query heads. */
  readonly heads: number;
  /** K, key/value heads. */
  readonly kvHeads: number;
  /** D, a multiple of 4 up to 512. */
  readonly headDim: number;
}

/** Operands of `attentionBackward`. */
export interface AttentionBackwardArgs<B> extends AttentionBackwardShape, AttentionRule {
  /** f32 [B, T, H, D]. */
  readonly q: Operand<B>;
  /** f32 [B, T, K, D]. */
  readonly k: Operand<B>;
  /** f32 [B, T, K, D]. */
  readonly v: Operand<B>;
  /** i32 [B, T, 4]: (segment, block, position, 0) of every token. */
  readonly info: Operand<B>;
  /** f32 [B, T, H, D], what `attentionForward` wrote. */
  readonly out: Operand<B>;
  /** f32 [B, H, T], what `attentionForward` wrote. */
  readonly lse: Operand<B>;
  /** f32 [B, T, H, D], the gradient of `out`. */
  readonly dOut: Operand<B>;
  /** f32, `attentionBackwardWorkspaceBytes` long. */
  readonly workspace: Operand<B>;
  /** f32 [B, T, H, D], written. */
  readonly dq: Operand<B>;
  /** f32 [B, T, K, D], written: the sum over the query heads of each kv head. */
  readonly dk: Operand<B>;
  /** f32 [B, T, K, D], written. */
  readonly dv: Operand<B>;
  /** Default: what this device is fast with. */
  readonly variant?: AttentionVariant;
}

/** Some batch rows at a time, and of those as many rows (queries of a kv head's group) as the workspace has room for. */
interface BackwardPlan {
  /** [first, count] of batch rows. */
  readonly runs: readonly (readonly [first: number, count: number])[];
  /** Rows or keys of a block. */
  readonly rowsOwned: number;
  readonly keysOwned: number;
  /** Rows of a kv head that are done at a time. */
  readonly panelRows: number;
  /** Where in the workspace what is kept of pairs begins, and bytes of one value of each; how long it is. */
  readonly pairsStart: number;
  readonly pairBytes: number;
  readonly bytes: number;
}

function planBackward(profile: DeviceProfile, shape: AttentionBackwardShape, variant: AttentionVariant): BackwardPlan {
  const { batch, tokens, heads, kvHeads, headDim } = shape;
  checkShape({ batch, queries: tokens, keys: tokens, heads, kvHeads, headDim });
  const { ownBackward, kept } = geometries[variant];
  const rows = (tokens * heads) / kvHeads;
  const qBytes = tokens * heads * headDim * 4;
  const statsBytes = tokens * heads * 8;
  // Padded to whole blocks of keys.
  const rowBytes = kvHeads * align(tokens, ownBackward) * 4;
  const leastBytes = align(statsBytes, ALIGNMENT) + kept * align(Math.min(rows, PANEL_STEP) * rowBytes, ALIGNMENT);
  const runs = batchRuns(profile, batch, Math.max(qBytes, tokens * 16, leastBytes));
  const count = runs[0]![1];
  // Fewer rows or keys a thread where there would be too few threads.
  const owned = (total: number) =>
    variant === 'plain' && count * kvHeads * total < ownBackward * FEWEST_THREADS ? ownBackward / 2 : ownBackward;
  const [rowsOwned, keysOwned] = [owned(rows), owned(tokens)];
  const pairsStart = align(count * statsBytes, ALIGNMENT);
  // No more than the largest of the tensors takes: linear in the tokens.
  const room = Math.min(Math.max(count * qBytes, SMALL_BYTES), profile.limits.maxStorageBufferBindingSize - pairsStart);
  const fits = kept === 0 ? rows : Math.floor(room / (kept * count * rowBytes) / PANEL_STEP) * PANEL_STEP;
  const panelRows = Math.min(rows, Math.max(fits, PANEL_STEP));
  const pairBytes = align(count * panelRows * rowBytes, ALIGNMENT);
  return { runs, rowsOwned, keysOwned, panelRows, pairsStart, pairBytes, bytes: pairsStart + kept * pairBytes };
}

/**
 * Bytes of workspace that `attentionBackward` needs, linear in the tokens: on GPUs 8 a row of q, else as much as q takes or 4 MiB, or what
 * 32 rows need if that is more.
 */
export function attentionBackwardWorkspaceBytes(
  profile: DeviceProfile,
  shape: AttentionBackwardShape,
  variant?: AttentionVariant,
): number {
  return planBackward(profile, shape, variant ?? attentionVariant(profile, 'attentionBackward')).bytes;
}

/**
 * Gradients of `attentionForward` in q, k and v; scores are made again tile by tile, nothing of size tokens × tokens.
 * Adapters of the CPU keep the gradients of some rows' scores, and with subgroups their weights, in the workspace: five products
 * instead of seven.
 * No atomics: the same inputs give the same bits. Tokens that see or are seen by nothing get 0.
 * @throws AttentionLimitError for a head dimension that is no multiple of 4 up to 512, or a batch row beyond one binding.
 */
export function attentionBackward<B>(profile: DeviceProfile, args: AttentionBackwardArgs<B>): KernelCall<B>[] {
  const { tokens, heads, kvHeads, headDim } = args;
  const variant = args.variant ?? attentionVariant(profile, 'attentionBackward');
  const plan = planBackward(profile, args, variant);
  const { rowsOwned, keysOwned, panelRows } = plan;
  const { ownBackward, blocksPerWorkgroup, boundBackward } = geometries[variant];
  const qBytes = tokens * heads * headDim * 4;
  const kBytes = tokens * kvHeads * headDim * 4;
  const group = heads / kvHeads;
  const rows = tokens * group;
  const rule = ruleFields(args);
  const softcap = Boolean(args.softcap);
  const options = shaderOptions(profile, variant, args, headDim);
  const fold = (groups: number) => foldWorkgroups(groups, profile.limits.maxComputeWorkgroupsPerDimension);

  return plan.runs.flatMap(([first, count]) => {
    const ofQ = (operand: Operand<B>, access: 'read' | 'read_write' = 'read') =>
      batchWindow(operand, qBytes, 16, first, count, access);
    const ofK = (operand: Operand<B>, access: 'read' | 'read_write' = 'read') =>
      batchWindow(operand, kBytes, 16, first, count, access);
    const lse = batchWindow(args.lse, tokens * heads * 4, 4, first, count, 'read');
    const info = batchWindow(args.info, tokens * 16, 16, first, count, 'read');
    const workspace = (access: Binding<B>['access'], start = 0, size = plan.bytes): Binding<B> => ({
      buffer: args.workspace.buffer,
      offset: args.workspace.offset + start,
      size,
      access,
    });
    /** Of one value kept: 0 or 1. */
    const pairs = (value: number) => workspace('read', plan.pairsStart + value * plan.pairBytes, plan.pairBytes);
    const q = ofQ(args.q);
    const k = ofK(args.k);
    const shape = { batch: count, queries: tokens, keys: tokens, heads, kvHeads, headDim };
    const [dOut, dq] = [ofQ(args.dOut).binding, ofQ(args.dq, 'read_write').binding];
    const [dk, dv] = [ofK(args.dk, 'read_write').binding, ofK(args.dv, 'read_write').binding];
    const inputs = { q: q.binding, k: k.binding, v: ofK(args.v).binding, d_out: dOut, info: info.binding };
    const calls = [
      shaderCall('attention/row_stats', {
        uniforms: {
          ...{ queries: tokens, heads, d4: headDim / 4, rows: count * tokens * heads },
          ...{ q_start: q.start, lse_start: lse.start },
        },
        bindings: { out: ofQ(args.out).binding, d_out: dOut, lse: lse.binding, stats: workspace('read_write') },
        workgroups: fold(Math.ceil((count * tokens * heads) / 32)),
        variant: 'plain',
      }),
    ];
    for (let rowFirst = 0; rowFirst < rows; rowFirst += panelRows) {
      const rowEnd = Math.min(rowFirst + panelRows, rows);
      /** What calls of a panel share, over blocks of rows or of keys, `owned` each. */
      const panel = (of: 'rows' | 'keys', products: number, pairsStart = 0) => {
        const blocks = of === 'keys' ? Math.ceil(tokens / keysOwned) : Math.ceil((rowEnd - rowFirst) / rowsOwned);
        return {
          uniforms: {
            ...{ tokens, heads, kv_heads: kvHeads, group, d4: headDim / 4, blocks, units: count * kvHeads * blocks },
            ...{ bound: boundBackward, ...rule, info_start: info.start, q_start: q.start, k_start: k.start },
            ...{ pairs_start: pairsStart / 16, pairs4: align(tokens, ownBackward) / 4 },
            ...{ row_first: rowFirst, row_end: rowEnd, panel_rows: panelRows, ds_offset: plan.pairBytes / 16 },
          },
          workgroups: fold(Math.ceil((count * kvHeads * blocks) / blocksPerWorkgroup)),
          variant,
          ...variantId('attentionBackward', variant),
          work: { flops: (pairFlops(shape, args, products) * (rowEnd - rowFirst)) / rows },
        };
      };
      if (variant === 'subgroup') {
        const [p, ds] = [pairs(0), pairs(1)];
        calls.push(
          // Scores again and the gradient of the weights; then each gradient is a product with what is kept of them.
          shaderCall('attention/backward_pairs_subgroup', {
            ...panel('rows', 2, plan.pairsStart),
            conditions: { SOFTCAP: softcap },
            bindings: { ...inputs, work: workspace('read_write') },
          }),
          shaderCall('attention/backward_kv_subgroup', {
            ...panel('keys', 1),
            bindings: { x: dOut, info: info.binding, work: p, grad: dv },
          }),
          shaderCall('attention/backward_kv_subgroup', {
            ...panel('keys', 1),
            bindings: { x: q.binding, info: info.binding, work: ds, grad: dk },
          }),
          shaderCall('attention/backward_q_subgroup', {
            ...panel('rows', 1),
            bindings: { k: k.binding, info: info.binding, work: ds, dq },
          }),
        );
      } else if (variant === 'plain') {
        calls.push(
          shaderCall('attention/backward_kv', {
            ...panel('keys', 4, plan.pairsStart),
            conditions: { SOFTCAP: softcap, OWN16: keysOwned === 16 },
            bindings: { ...inputs, work: workspace('read_write'), dk, dv },
          }),
          shaderCall('attention/backward_q', {
            ...panel('rows', 1),
            conditions: { OWN16: rowsOwned === 16 },
            bindings: { k: k.binding, info: info.binding, work: pairs(0), dq },
          }),
        );
      } else {
        calls.push(
          shaderCall('attention/backward_kv_tiled', {
            ...panel('keys', 4),
            ...options,
            bindings: { ...inputs, stats: workspace('read'), dk, dv },
          }),
          shaderCall('attention/backward_q_tiled', {
            ...panel('rows', 3),
            ...options,
            bindings: { ...inputs, stats: workspace('read'), dq },
          }),
        );
      }
    }
    return calls;
  });
}
