import type { DeviceProfile } from '@lapidary/gpu';
import type { Binding, Operand } from '../kernel-call.js';
import { hasSubgroupsOf8, isUsable, workgroupOrPlain } from '../variants.js';

/** Sizes of an attention. Head dimension D is a multiple of 4, at most 512; H is a multiple of K. */
export interface AttentionShape {
  /** B. */
  readonly batch: number;
  /** Tq, queries of a batch row. */
  readonly queries: number;
  /** S, keys of a batch row. */
  readonly keys: number;
  /** H, query heads. */
  readonly heads: number;
  /** K, key/value heads; query head h reads head floor(h / (H/K)). */
  readonly kvHeads: number;
  /** D. */
  readonly headDim: number;
}

/** How scores are made: score = cap(q·k · scale), masked by the token records. */
export interface AttentionRule {
  readonly scale: number;
  /** Scores become softcap · tanh(score / softcap). 0 or absent: not. */
  readonly softcap?: number;
  /** A query sees keys less than this many positions away, on either side. 0 or absent: however far. */
  readonly window?: number;
  /** The window bounds only what lies before a query: of its own block it sees whatever comes after it. Default false. */
  readonly seesAhead?: boolean;
}

/**
 * `plain`: register blocks only, for adapters that run on the CPU, where workgroup memory and barriers are slow.
 * `subgroup`: eight invocations of such an adapter share what they load.
 * `workgroup`: tiles in workgroup memory, for GPUs.
 */
export type AttentionVariant = 'plain' | 'subgroup' | 'workgroup';

/** The variant that a device is fast with. */
export function attentionVariant(profile: DeviceProfile, kernel: string): AttentionVariant {
  if (hasSubgroupsOf8(profile) && isUsable(profile, `${kernel}:subgroup`)) return 'subgroup';
  return workgroupOrPlain(profile, kernel);
}

/** An attention that these kernels cannot run: `limit` names what stands against it. */
export class AttentionLimitError extends Error {
  /** What is exceeded, e.g. `maxStorageBufferBindingSize` or `headDim`. */
  readonly limit: string;
  readonly found: number;
  readonly allowed: number;

  constructor(fields: { limit: string; found: number; allowed: number; message: string }) {
    super(fields.message);
    this.name = 'AttentionLimitError';
    this.limit = fields.limit;
    this.found = fields.found;
    this.allowed = fields.allowed;
  }
}

export const ALIGNMENT = 256;
/** What a thread of the workgroup variant can keep in registers, twice: its largest workgroup has two halves. */
const LARGEST_HEAD_DIM = 512;
const NO_WINDOW = 0x7fffffff;

/** @throws AttentionLimitError, RangeError */
export function checkShape(shape: AttentionShape): void {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  for (const [name, value] of Object.entries({ batch, queries, keys, heads, kvHeads, headDim })) {
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`attention: ${name} must be a positive whole number, not ${value}`);
  }
  if (heads % kvHeads !== 0)
    throw new RangeError(`attention: ${heads} query heads do not share ${kvHeads} key/value heads evenly`);
  if (headDim % 4 !== 0 || headDim > LARGEST_HEAD_DIM) {
    throw new AttentionLimitError({
      limit: 'headDim',
      found: headDim,
      allowed: LARGEST_HEAD_DIM,
      message: `attention: a head dimension must be a multiple of 4 up to ${LARGEST_HEAD_DIM}, not ${headDim}; pad q, k and v with zeros`,
    });
  }
}

/** The rule's fields of a uniform struct; a negative window is one that bounds what is before a query alone. */
export function ruleFields(rule: AttentionRule): { scale: number; softcap: number; window: number } {
  const window = rule.window ? Math.min(rule.window, NO_WINDOW) : NO_WINDOW;
  return { scale: rule.scale, softcap: rule.softcap ?? 0, window: rule.seesAhead ? -window : window };
}

/**
 * Multiplications and additions of `products` products between queries and keys (2 in the forward pass: q·k, and the weighted
 * values), with every pair counted that the window allows. What else a mask hides (later tokens, padding, other documents) is in
 * the token records, which nobody knows before they are on the device: it counts as computed.
 */
export function pairFlops(shape: AttentionShape, { window }: AttentionRule, products: number): number {
  const { batch, queries, keys, heads, headDim } = shape;
  return products * 2 * batch * heads * queries * (window ? Math.min(keys, 2 * window - 1) : keys) * headDim;
}

/** The next multiple of `step`. */
export const align = (n: number, step: number): number => Math.ceil(n / step) * step;

/** Some batch rows of an operand: a binding, and where in it (in elements of the operand's shader type) they begin. */
export interface BatchWindow<B> {
  readonly binding: Binding<B>;
  readonly start: number;
}

/** Batch rows [first, first + count) of an operand of `rowBytes` a row, seen by a shader as elements of `elementBytes`. */
export function batchWindow<B>(
  operand: Operand<B>,
  rowBytes: number,
  elementBytes: number,
  first: number,
  count: number,
  access: Binding<B>['access'],
): BatchWindow<B> {
  const startByte = rowBytes * first;
  const aligned = Math.floor(startByte / ALIGNMENT) * ALIGNMENT;
  return {
    binding: {
      buffer: operand.buffer,
      offset: operand.offset + aligned,
      size: startByte - aligned + rowBytes * count,
      access,
    },
    start: (startByte - aligned) / elementBytes,
  };
}

/**
 * Runs of batch rows whose operands (`rowBytes`: the largest of them) fit one binding each: [first, count].
 * @throws AttentionLimitError where one batch row does not fit.
 */
export function batchRuns(profile: DeviceProfile, batch: number, rowBytes: number): [number, number][] {
  const limit = profile.limits.maxStorageBufferBindingSize;
  // A window may have to begin up to 255 bytes before its first row.
  const fits =
    batch * rowBytes <= limit
      ? batch
      : rowBytes <= limit && rowBytes % ALIGNMENT === 0
        ? Math.floor(limit / rowBytes)
        : Math.floor((limit - ALIGNMENT) / rowBytes);
  if (fits < 1) {
    throw new AttentionLimitError({
      limit: 'maxStorageBufferBindingSize',
      found: rowBytes,
      allowed: limit,
      message: `attention: one batch row takes ${rowBytes} bytes of a binding of at most ${limit}; use shorter sequences`,
    });
  }
  const runs: [number, number][] = [];
  for (let first = 0; first < batch; first += fits) runs.push([first, Math.min(fits, batch - first)]);
  return runs;
}

/** How a variant cuts its work. */
export interface AttentionGeometry {
  /** Ending of the shaders' names. */
  readonly suffix: '' | '_subgroup' | '_tiled';
  /** Rows of a block: those of one thread, or of one workgroup. */
  readonly own: number;
  /** Rows (or keys, for their gradients) of a block of the backward pass. */
  readonly ownBackward: number;
  /** Values kept of pairs of a query and a key, so that scores are made again once and not twice: none, ds, or p and ds. */
  readonly kept: 0 | 1 | 2;
  /** Keys (or rows) walked at a time. */
  readonly streamed: number;
  /** Blocks of a workgroup. */
  readonly blocksPerWorkgroup: number;
  /** A loop bound that shaders take from their uniforms, so that it stays rolled; and that of the backward pass. */
  readonly bound: number;
  readonly boundBackward: number;
  /** Blocks that keep a device busy: fewer than these share out their keys. Guesses: 2 to 8 cores of 8 lanes; some 100 GPU cores. */
  readonly busy: number;
}

export const geometries: Readonly<Record<AttentionVariant, AttentionGeometry>> = {
  plain: {
    suffix: '',
    own: 8,
    ownBackward: 16,
    kept: 1,
    streamed: 8,
    blocksPerWorkgroup: 8,
    bound: 8,
    boundBackward: 4,
    busy: 64,
  },
  subgroup: {
    suffix: '_subgroup',
    own: 16,
    ownBackward: 16,
    kept: 2,
    streamed: 32,
    blocksPerWorkgroup: 1,
    bound: 8,
    boundBackward: 8,
    busy: 8,
  },
  workgroup: {
    suffix: '_tiled',
    own: 32,
    ownBackward: 32,
    kept: 0,
    streamed: 64,
    blocksPerWorkgroup: 1,
    bound: 4,
    boundBackward: 4,
    busy: 128,
  },
};

/**
 * Conditions and constants of a variant's shaders. A thread of the workgroup variant keeps CHUNKS vectors of each of its
 * rows, in registers once loops are unrolled. Software adapters get the largest size and rolled loops: they compile for
 * seconds to minutes, so one pipeline serves every head dimension up to 256, another those above.
 */
export function shaderOptions(
  profile: DeviceProfile,
  variant: AttentionVariant,
  rule: AttentionRule,
  headDim: number,
): {
  readonly conditions: { readonly SOFTCAP: boolean; readonly ROLLED?: boolean; readonly WIDE?: boolean };
  readonly constants?: { readonly CHUNKS: number };
} {
  const rolled = profile.adapter.isSoftware;
  const SOFTCAP = Boolean(rule.softcap);
  if (variant !== 'workgroup') return { conditions: { SOFTCAP } };
  const WIDE = headDim > LARGEST_HEAD_DIM / 2;
  const CHUNKS = rolled ? 4 : Math.ceil(headDim / (WIDE ? 128 : 64));
  return { conditions: { SOFTCAP, ROLLED: rolled, WIDE }, constants: { CHUNKS } };
}
