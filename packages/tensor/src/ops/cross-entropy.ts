import {
  byteLength,
  crossEntropyChunkBackward,
  crossEntropyChunkForward,
  crossEntropyFinish,
  isQuantised,
  matmul,
  reuseWorkspace,
  type DType,
  type KernelCall,
} from '@lapidary/kernels';
import {
  addNode,
  formatType,
  needF32,
  needNumbers,
  needRecords,
  needTensors,
  TensorShapeError,
  type StorageId,
  type Tensor,
} from '../graph.js';

export interface CrossEntropyOptions {
  /** Logits become cap · tanh(logit / cap); 0 or left out: no cap. */
  readonly softcap?: number;
  /**
   * ε of the target is shared by all classes of the weight alike, 1 − ε stays with its own (Szegedy et al. 2015, arXiv:1512.00567):
   * loss = (1 − ε)·(−ln p[target]) + ε/V·Σ −ln p. 0 or left out: no smoothing.
   */
  readonly labelSmoothing?: number;
}

/** How well each row's target is predicted. */
export interface TokenLosses {
  /** f32 [R], nats; 0 where the target is negative. */
  readonly losses: Tensor;
  /** f32 [R]: 1 where no class is likelier than the target, else 0. */
  readonly correct: Tensor;
}

/** Most bytes of logits that exist at a time. */
const CHUNK_BYTES = 16 * 1024 * 1024;

/** Classes handled at a time: whole 256-byte windows of every storage type, and at most CHUNK_BYTES of logits. */
function chunkClasses(rows: number, classes: number, dtype: DType, dim: number): number {
  let step = 64;
  if (isQuantised(dtype)) while ((byteLength(dtype, dim) * step) % 256 !== 0) step *= 2;
  const fit = Math.floor(CHUNK_BYTES / (rows * 4) / step) * step;
  return Math.min(Math.max(fit, step), classes);
}

/**
 * Cross-entropy of softmax(hidden · weightᵀ), fused with that projection and walked in chunks of classes, so that no tensor of
 * size rows × classes exists, forward or backward. hidden f32 [R, d], weight [V, d] in any storage type, targets i32 [R]
 * (negative: ignored, loss 0) → losses f32 [R], in nats, as torch.nn.functional.cross_entropy gives them, and `correct` f32 [R], 1 where
 * no class is likelier than the target, else 0, without a gradient. The idea: Wijmans et al. 2024, arXiv:2411.09009.
 * @throws TensorShapeError; RangeError where labelSmoothing is not from 0 to 1
 */
export function linearCrossEntropy(
  hidden: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: CrossEntropyOptions = {},
): TokenLosses {
  needF32('linearCrossEntropy', { hidden });
  needTensors('linearCrossEntropy', { weight, targets });
  needRecords('linearCrossEntropy', { options });
  const { softcap = 0, labelSmoothing = 0 } = options;
  needNumbers('linearCrossEntropy', { softcap, labelSmoothing });
  const [rows, dim] = hidden.shape as [number, number];
  const [classes] = weight.shape as [number, number];
  if (hidden.shape.length !== 2 || weight.shape[1] !== dim || targets.size !== rows || targets.dtype !== 'i32') {
    throw new TensorShapeError(
      'linearCrossEntropy',
      `hidden ${formatType(hidden)}, weight ${formatType(weight)}, targets ${formatType(targets)}`,
    );
  }
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new RangeError(`linearCrossEntropy: labelSmoothing is ${labelSmoothing}; it must be from 0 to 1`);
  const smoothing = labelSmoothing > 0 ? { smoothing: { epsilon: labelSmoothing, classes } } : {};
  const chunk = chunkClasses(rows, classes, weight.dtype, dim);
  const chunks = Array.from({ length: Math.ceil(classes / chunk) }, (_, i) => ({
    chunkStart: i * chunk,
    chunkSize: Math.min(chunk, classes - i * chunk),
  }));
  const [losses, , correct] = addNode({
    name: 'linear cross-entropy',
    inputs: [hidden, weight, targets],
    outputs: [
      { shape: [rows], dtype: 'f32' },
      { shape: [rows], dtype: 'f32' },
      { shape: [rows], dtype: 'f32' },
    ],
    lower: ({ profile, inputs: [h, w, t], outputs: [lossOut, lse, correctOut], workspace }) => {
      const logits = workspace(rows * chunk * 4);
      const parts = reuseWorkspace(workspace);
      const state = workspace(rows * 16);
      const calls: KernelCall<StorageId>[] = chunks.flatMap(({ chunkStart, chunkSize }, i) => [
        ...matmul(profile, {
          a: h!,
          b: w!,
          out: logits,
          m: rows,
          n: chunkSize,
          k: dim,
          transposeB: true,
          bFirstRow: chunkStart,
          workspace: parts,
        }),
        ...crossEntropyChunkForward(profile, {
          logits,
          targets: t!,
          state,
          rows,
          chunkStart,
          chunkSize,
          rowStride: chunkSize,
          softcap,
          ...smoothing,
          first: i === 0,
        }),
      ]);
      const outputs = { loss: lossOut!, lse: lse!, correct: correctOut! };
      calls.push(...crossEntropyFinish(profile, { state, targets: t!, ...outputs, rows, ...smoothing }));
      return calls;
    },
    vjp: ({ inputs, outputs, grads, needs }) => {
      if (grads[0] === undefined) return [];
      const types = [
        ...(needs[0] ? [{ shape: hidden.shape, dtype: 'f32' as const }] : []),
        ...(needs[1] ? [{ shape: weight.shape, dtype: 'f32' as const }] : []),
      ];
      const made = addNode({
        name: 'linear cross-entropy backward',
        inputs: [inputs[0]!, inputs[1]!, inputs[2]!, outputs[1]!, grads[0]!],
        outputs: types,
        lower: ({ profile, inputs: [h, w, t, lse, dLoss], outputs: out, workspace }) => {
          const logits = workspace(rows * chunk * 4);
          const parts = reuseWorkspace(workspace);
          const dHidden = needs[0] ? out[0] : undefined;
          const dWeight = needs[1] ? out.at(-1) : undefined;
          return chunks.flatMap(({ chunkStart, chunkSize }, i) => [
            ...matmul(profile, {
              a: h!,
              b: w!,
              out: logits,
              m: rows,
              n: chunkSize,
              k: dim,
              transposeB: true,
              bFirstRow: chunkStart,
              workspace: parts,
            }),
            ...crossEntropyChunkBackward(profile, {
              logits,
              targets: t!,
              lse: lse!,
              dLoss: dLoss!,
              rows,
              chunkStart,
              chunkSize,
              rowStride: chunkSize,
              softcap,
              ...smoothing,
            }),
            ...(dHidden
              ? matmul(profile, {
                  a: logits,
                  b: w!,
                  out: dHidden,
                  m: rows,
                  n: dim,
                  k: chunkSize,
                  bFirstRow: chunkStart,
                  accumulate: i > 0,
                  workspace: parts,
                })
              : []),
            ...(dWeight
              ? matmul(profile, {
                  a: logits,
                  b: h!,
                  out: { ...dWeight, offset: dWeight.offset + chunkStart * dim * 4 },
                  m: chunkSize,
                  n: dim,
                  k: rows,
                  transposeA: true,
                  workspace: parts,
                })
              : []),
          ]);
        },
      });
      return [needs[0] ? made[0] : undefined, needs[1] ? made.at(-1) : undefined, undefined];
    },
  });
  return { losses: losses!, correct: correct! };
}
