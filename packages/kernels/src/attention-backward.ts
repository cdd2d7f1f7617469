import type { DeviceProfile } from '@lapidary/gpu';
import {
  attentionVariant,
  batchRuns,
  batchWindow,
  checkShape,
  geometries,
  pairFlops,
  ruleWords,
  shaderOptions,
  type AttentionRule,
  type AttentionVariant,
} from './attention-plan.js';
import { foldWorkgroups, words, type KernelCall, type Operand } from './kernel-call.js';
import { variantId } from './variants.js';

/** Threads of the plain variant that keep a CPU busy: some lanes of some cores. */
const FEWEST_THREADS = 16;

/** Self-attention only: as many keys as queries, of the same tokens. */
export interface AttentionBackwardArgs<B> extends AttentionRule {
  /** B. */
  readonly batch: number;
  /** T. */
  readonly tokens: number;
  /** H, query heads. */
  readonly heads: number;
  /** K, key/value heads. */
  readonly kvHeads: number;
  /** D, a multiple of 4 up to 256. */
  readonly headDim: number;
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
  /** f32 [B, H, T, 2], workspace: log-sum-exp and Σ dOut · out of every row, side by side to save a binding. */
  readonly stats: Operand<B>;
  /** f32 [B, T, H, D], written. */
  readonly dq: Operand<B>;
  /** f32 [B, T, K, D], written: the sum over the query heads of each kv head. */
  readonly dk: Operand<B>;
  /** f32 [B, T, K, D], written. */
  readonly dv: Operand<B>;
  /** Default: what this device is fast with. */
  readonly variant?: AttentionVariant;
}

/**
 * Gradients of `attentionForward` in q, k and v; scores are made again tile by tile, nothing of size tokens × tokens. No
 * atomics: the same inputs give the same bits. Tokens that see or are seen by nothing get 0.
 * @throws AttentionLimitError for a head dimension that is no multiple of 4 up to 256, or a batch row beyond one binding.
 */
export function attentionBackward<B>(profile: DeviceProfile, args: AttentionBackwardArgs<B>): KernelCall<B>[] {
  const { batch, tokens, heads, kvHeads, headDim } = args;
  checkShape({ batch, queries: tokens, keys: tokens, heads, kvHeads, headDim });
  const qBytes = tokens * heads * headDim * 4;
  const kBytes = tokens * kvHeads * headDim * 4;
  const group = heads / kvHeads;
  const { scale, softcap, window } = ruleWords(args);
  const variant = args.variant ?? attentionVariant(profile, 'attentionBackward');
  const fold = (groups: number) => foldWorkgroups(groups, profile.limits.maxComputeWorkgroupsPerDimension);
  const { suffix, ownBackward, blocksPerWorkgroup, boundBackward } = geometries[variant];
  const options = shaderOptions(profile, variant, args, headDim);

  return batchRuns(profile, batch, Math.max(qBytes, tokens * 16)).flatMap(([first, count]) => {
    const ofQ = (operand: Operand<B>, access: 'read' | 'read_write' = 'read') =>
      batchWindow(operand, qBytes, 16, first, count, access);
    const ofK = (operand: Operand<B>, access: 'read' | 'read_write' = 'read') =>
      batchWindow(operand, kBytes, 16, first, count, access);
    const lse = batchWindow(args.lse, tokens * heads * 4, 4, first, count, 'read');
    const stats = (access: 'read' | 'read_write') =>
      batchWindow(args.stats, tokens * heads * 8, 8, first, count, access);
    const info = batchWindow(args.info, tokens * 16, 16, first, count, 'read');
    const q = ofQ(args.q);
    const k = ofK(args.k);
    const inputs = [q, k, ofK(args.v), ofQ(args.dOut), stats('read'), info].map((w) => w.binding);
    const uniforms = (blocks: number) =>
      words(
        tokens,
        heads,
        kvHeads,
        group,
        headDim / 4,
        blocks,
        count * kvHeads * blocks,
        boundBackward,
        scale,
        softcap,
        window,
        info.start,
        q.start,
        k.start,
        stats('read').start,
        0,
      );
    // Fewer rows or keys a thread where there would be too few threads.
    const owned = (total: number) =>
      variant === 'plain' && count * kvHeads * total < ownBackward * FEWEST_THREADS ? ownBackward / 2 : ownBackward;
    const [rowsOwned, keysOwned] = [owned(tokens * group), owned(tokens)];
    const rowBlocks = Math.ceil((tokens * group) / rowsOwned);
    const keyBlocks = Math.ceil(tokens / keysOwned);
    const rows = count * tokens * heads;
    const shape = { batch: count, queries: tokens, keys: tokens, heads, kvHeads, headDim };
    return [
      {
        shader: 'attention/row_stats',
        uniforms: words(tokens, heads, headDim / 4, rows, q.start, lse.start, stats('read').start, 0),
        bindings: [ofQ(args.out).binding, ofQ(args.dOut).binding, lse.binding, stats('read_write').binding],
        workgroups: fold(Math.ceil(rows / 32)),
        variant: 'plain',
      },
      {
        shader: `attention/backward_q${suffix}`,
        ...options,
        conditions: { ...options.conditions, OWN16: rowsOwned === 16 },
        uniforms: uniforms(rowBlocks),
        bindings: [...inputs, ofQ(args.dq, 'read_write').binding],
        workgroups: fold(Math.ceil((count * kvHeads * rowBlocks) / blocksPerWorkgroup)),
        variant,
        ...variantId('attentionBackward', variant),
        // Scores again, the gradient of the weights, and of q.
        work: { flops: pairFlops(shape, args, 3) },
      },
      {
        shader: `attention/backward_kv${suffix}`,
        ...options,
        conditions: { ...options.conditions, OWN16: keysOwned === 16 },
        uniforms: uniforms(keyBlocks),
        bindings: [...inputs, ofK(args.dk, 'read_write').binding, ofK(args.dv, 'read_write').binding],
        workgroups: fold(Math.ceil((count * kvHeads * keyBlocks) / blocksPerWorkgroup)),
        variant,
        ...variantId('attentionBackward', variant),
        // Scores and the gradient of the weights again, and the gradients of k and v.
        work: { flops: pairFlops(shape, args, 4) },
      },
    ];
  });
}
