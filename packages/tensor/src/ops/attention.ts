import {
  attentionBackward,
  attentionBackwardWorkspaceBytes,
  attentionForward,
  attentionWorkspaceBytes,
  rope as ropeKernel,
} from '@lapidary/kernels';
import {
  addNode,
  formatType,
  needF32,
  needNumbers,
  needRecords,
  needTensors,
  resolveAlias,
  TensorShapeError,
  type Tensor,
} from '../graph.js';
import { constant } from './elementwise.js';
import { concat, slice } from './shape.js';

export interface AttentionOptions {
  /** Multiplies q·k. */
  readonly scale: number;
  /** Scores become cap · tanh(score / cap); 0 or left out: no cap. */
  readonly softcap?: number;
  /** A query sees keys at most window − 1 positions away; 0 or left out: all. */
  readonly window?: number;
  /** The window bounds only what lies before a query: of its own block it sees whatever comes after it. Default false. */
  readonly seesAhead?: boolean;
}

/** The kernels take head dimensions that are a multiple of this. */
const HEAD_DIM_STEP = 4;

/**
 * Attention without any tokens × tokens tensor (Dao et al. 2022, arXiv:2205.14135). q f32 [B, T, H, D]; k, v f32 [B, S, K, D]
 * with K dividing H and D at most 512; `queryInfo` i32 [B, T, 4] and `keyInfo` i32 [B, S, 4] hold (segment, block, position, 0) of each token:
 * a query sees a key of its own segment (0 is padding) whose block is not larger than its own, within the window. → [B, T, H, D].
 * Self-attention has a gradient: `queryInfo` and `keyInfo` are one tensor then.
 * @throws TensorShapeError
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  queryInfo: Tensor,
  keyInfo: Tensor,
  options: AttentionOptions,
): Tensor {
  needF32('attention', { q, k, v });
  needTensors('attention', { queryInfo, keyInfo });
  needRecords('attention', { options });
  needNumbers('attention', { scale: options.scale });
  const [batch, queries, heads, headDim] = q.shape as [number, number, number, number];
  const [, keys, kvHeads] = k.shape as [number, number, number, number];
  if (
    q.shape.length !== 4 ||
    k.shape.length !== 4 ||
    k.shape.join() !== v.shape.join() ||
    k.shape[0] !== batch ||
    k.shape[3] !== headDim ||
    heads % kvHeads !== 0
  ) {
    throw new TensorShapeError(
      'attention',
      `q ${formatType(q)}, k ${formatType(k)}, v ${formatType(v)} do not fit together`,
    );
  }
  needTokenRecords('attention', queryInfo, batch * queries);
  needTokenRecords('attention', keyInfo, batch * keys);
  const spare = (HEAD_DIM_STEP - (headDim % HEAD_DIM_STEP)) % HEAD_DIM_STEP;
  if (spare > 0) {
    // Zeros change no score, and stay zeros in the result.
    const padded = [q, k, v].map((x) => concat([x, constant(0, [...x.shape.slice(0, 3), spare])], 3));
    const [pq, pk, pv] = padded as [Tensor, Tensor, Tensor];
    return slice(attention(pq, pk, pv, queryInfo, keyInfo, options), 3, 0, headDim);
  }
  const shape = { batch, queries, keys, heads, kvHeads, headDim };
  const { scale, softcap = 0, window = 0, seesAhead = false } = options;
  const rule = { scale, softcap, window, seesAhead };
  const [out] = addNode({
    name: 'attention',
    inputs: [q, k, v, queryInfo, keyInfo],
    outputs: [
      { shape: q.shape, dtype: 'f32' },
      { shape: [batch, heads, queries], dtype: 'f32' },
    ],
    lower: ({ profile, inputs, outputs, workspace }) => {
      const bytes = attentionWorkspaceBytes(profile, shape);
      return attentionForward(profile, {
        q: inputs[0]!,
        k: inputs[1]!,
        v: inputs[2]!,
        qInfo: inputs[3]!,
        kInfo: inputs[4]!,
        out: outputs[0]!,
        lse: outputs[1]!,
        ...shape,
        ...rule,
        ...(bytes > 0 && { workspace: workspace(bytes) }),
      });
    },
    vjp: ({ inputs, outputs, grads }) => {
      if (queries !== keys || !isSameMemory(queryInfo, keyInfo))
        throw new TensorShapeError('attention', 'only self-attention (queries and keys of one `info`) has a gradient');
      return addNode({
        name: 'attention backward',
        inputs: [...inputs.slice(0, 4), outputs[0]!, outputs[1]!, grads[0]!],
        outputs: [q, k, v].map(({ shape: s }) => ({ shape: s, dtype: 'f32' as const })),
        lower: ({ profile, inputs: [qs, ks, vs, info, o, lse, dOut], outputs: [dq, dk, dv], workspace }) => {
          const sizes = { batch, tokens: queries, heads, kvHeads, headDim };
          return attentionBackward(profile, {
            ...sizes,
            q: qs!,
            k: ks!,
            v: vs!,
            info: info!,
            out: o!,
            lse: lse!,
            dOut: dOut!,
            dq: dq!,
            dk: dk!,
            dv: dv!,
            workspace: workspace(attentionBackwardWorkspaceBytes(profile, sizes)),
            ...rule,
          });
        },
      });
    },
  });
  return out!;
}

function isSameMemory(a: Tensor, b: Tensor): boolean {
  const [x, y] = [resolveAlias(a), resolveAlias(b)];
  return x.node === y.node && x.index === y.index;
}

/** @throws TensorShapeError where they are not i32 records of so many tokens */
function needTokenRecords(operation: string, info: Tensor, tokens: number): void {
  if (info.dtype !== 'i32' || info.size !== tokens * 4)
    throw new TensorShapeError(operation, `${formatType(info)} where there are i32 [${tokens}, 4] records of tokens`);
}

export interface RopeOptions {
  readonly theta: number;
  /** Positions are divided by this. Default 1. */
  readonly scalingFactor?: number;
  /** Pairs (j, j + D/2) with j below this turn, by θ^(−2j/D); the others stay as they are. Default all D/2. */
  readonly rotatedPairs?: number;
}

/**
 * Rotary position embedding, half-split layout (Su et al. 2021, arXiv:2104.09864). x f32 [B, T, H, D], `tokenInfo` i32
 * [B, T, 4] with the position third.
 * @throws TensorShapeError
 */
export function rope(x: Tensor, tokenInfo: Tensor, options: RopeOptions): Tensor {
  needF32('rope', { x });
  needTensors('rope', { tokenInfo });
  needRecords('rope', { options });
  const { theta, scalingFactor = 1, rotatedPairs = x.shape.at(-1)! / 2 } = options;
  needNumbers('rope', { theta, scalingFactor, rotatedPairs });
  if (
    options.rotatedPairs !== undefined &&
    !(Number.isInteger(rotatedPairs) && rotatedPairs >= 0 && rotatedPairs * 2 <= x.shape.at(-1)!)
  )
    throw new TensorShapeError('rope', `of the pairs of ${formatType(x)} ${rotatedPairs} cannot turn`);
  return rotate(x, tokenInfo, { theta, scalingFactor, rotatedPairs }, false);
}

function rotate(x: Tensor, tokenInfo: Tensor, options: Required<RopeOptions>, inverse: boolean): Tensor {
  const [batch, length, heads, headDim] = x.shape as [number, number, number, number];
  if (x.shape.length !== 4) throw new TensorShapeError('rope', `x is ${formatType(x)}, not f32 [B, T, H, D]`);
  needTokenRecords('rope', tokenInfo, batch * length);
  return addNode({
    name: 'rope',
    inputs: [x, tokenInfo],
    outputs: [{ shape: x.shape, dtype: 'f32' }],
    lower: ({ profile, inputs, outputs }) =>
      ropeKernel(profile, {
        x: inputs[0]!,
        tokenInfo: inputs[1]!,
        out: outputs[0]!,
        rows: batch * length,
        heads,
        headDim,
        inverse,
        ...options,
      }),
    vjp: ({ inputs, grads }) => [rotate(grads[0]!, inputs[1]!, options, !inverse), undefined],
  })[0]!;
}
