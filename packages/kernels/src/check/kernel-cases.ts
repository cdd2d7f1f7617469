import type { DeviceProfile } from '@lapidary/gpu';
import { adafactor } from '../optimizer/adafactor.js';
import { adamw } from '../optimizer/adamw.js';
import { attentionBackward, attentionBackwardWorkspaceBytes } from '../attention/attention-backward.js';
import { attentionForward, attentionWorkspaceBytes } from '../attention/attention-forward.js';
import { convert, dequantise } from '../quant/convert.js';
import { crossEntropyChunkBackward, crossEntropyChunkForward, crossEntropyFinish } from '../loss/cross-entropy.js';
import { elementwise } from '../elementwise/elementwise.js';
import { quantDTypes } from '../dtype.js';
import { embeddingGather } from '../embedding/embedding.js';
import { geglu, gegluBackward } from '../activation/geglu.js';
import type { KernelCall, Operand } from '../kernel-call.js';
import { layerNorm, layerNormBackward } from '../norm/layer-norm.js';
import { lion } from '../optimizer/lion.js';
import { matmul } from '../matmul/matmul.js';
import { matrixLayout } from '../matmul/matmul-matrix.js';
import type { MatmulVariant } from '../matmul/matmul-variant-names.js';
import { reduce } from '../reduce/reduce.js';
import { adafactorReference } from '../reference/adafactor.js';
import { adamwReference } from '../reference/adamw.js';
import { referenceAttention, referenceAttentionBackward } from '../reference/attention.js';
import { packReference } from '../reference/convert.js';
import { crossEntropyReference } from '../reference/cross-entropy.js';
import { dequantiseReference } from '../reference/dequantise.js';
import { embeddingGatherReference } from '../reference/embedding.js';
import { gegluBackwardReference, gegluReference } from '../reference/geglu.js';
import { layerNormBackwardReference, layerNormReference } from '../reference/layer-norm.js';
import { lionReference } from '../reference/lion.js';
import { matmulReference } from '../reference/matmul.js';
import { reduceReference } from '../reference/reduce.js';
import { rmsNormBackwardReference, rmsNormReference } from '../reference/rms-norm.js';
import { ropeReference } from '../reference/rope.js';
import { sgdReference } from '../reference/sgd.js';
import { softmaxReference } from '../reference/softmax.js';
import { rmsNorm, rmsNormBackward, rmsNormWeightGrad } from '../norm/rms-norm.js';
import { rope, ropeInverseFrequencies } from '../rope/rope.js';
import { sgd } from '../optimizer/sgd.js';
import { softmax } from '../softmax/softmax.js';
import { stridedCopy } from '../copy/strided-copy.js';
import { sumOfSquares, sumOfSquaresWorkspaceElements } from '../reduce/sum-of-squares.js';
import { isUsable } from '../variants.js';
import { bf16, blocks, noise, whole } from './exact-values.js';
import type { Scratch } from './scratch.js';

/** What an operand must hold afterwards: f32 values, or the 16 bits of bf16 ones. */
export interface Expectation {
  readonly name: string;
  readonly operand: Operand<GPUBuffer>;
  readonly values: ArrayLike<number>;
  /** Largest difference allowed, as a part of the largest value: 0 where the arithmetic is exact. */
  readonly tolerance: number;
}

/** A small case of one kernel, with its result known from the float64 twin. */
export interface KernelCase {
  /** The kernel's function, e.g. `attentionForward`. */
  readonly kernel: string;
  /** What about it is looked at. */
  readonly what: string;
  /** Operands on the device, the calls this profile gets, and what should come of them. */
  readonly make: (
    scratch: Scratch,
    profile: DeviceProfile,
  ) => { readonly calls: readonly KernelCall<GPUBuffer>[]; readonly expected: readonly Expectation[] };
}

// GPUs may compute exp and tanh to some 1e-6; what is wrong is wrong by more than this.
const CLOSE = 2e-4;

function product(
  what: string,
  shape: { m: number; n: number; k: number; batch?: number; transposeA?: boolean; transposeB?: boolean },
  weights: 'f32' | 'bf16',
): KernelCase {
  return {
    kernel: 'matmul',
    what,
    make: (scratch, profile) => {
      const { m, n, k, batch = 1 } = shape;
      const [a, b] = [whole(batch * m * k, 1), whole(batch * n * k, 2)];
      const out = scratch.empty(batch * m * n);
      const calls = matmul(profile, {
        ...shape,
        a: scratch.put(a, 'f32'),
        b: scratch.put(weights === 'bf16' ? bf16(b).bytes : b, weights),
        out,
        workspace: (bytes) => scratch.empty(bytes / 4),
      });
      return { calls, expected: [{ name: 'out', operand: out, values: matmulReference(a, b, shape), tolerance: 0 }] };
    },
  };
}

/** By subgroup matrices of f16, of values that f16 cannot hold unless they are to be rounded; of nothing where a device has none. */
function byMatrices(
  variant: MatmulVariant,
  shape: { m: number; n: number; k: number; transposeA?: boolean; transposeB?: boolean },
  weights: 'f32' | 'bf16' = 'f32',
): KernelCase {
  return {
    kernel: 'matmul',
    what: `${variant}, ${weights}`,
    make: (scratch, profile) => {
      const unusable = !isUsable(profile, `matmul:${variant}`) || matrixLayout(profile, variant, weights) === undefined;
      if (unusable) return { calls: [], expected: [] };
      const rounds = variant.startsWith('half');
      const values = rounds ? whole : noise;
      const a = values(shape.m * shape.k, 7);
      const exact = values(shape.n * shape.k, 8);
      const { values: b, bytes } = weights === 'bf16' ? bf16(exact) : { values: exact, bytes: exact };
      const out = scratch.empty(shape.m * shape.n);
      const calls = matmul(profile, {
        ...shape,
        a: scratch.put(a, 'f32'),
        b: scratch.put(bytes, weights),
        out,
        variant,
      });
      const tolerance = rounds ? 0 : 2e-6;
      return { calls, expected: [{ name: 'out', operand: out, values: matmulReference(a, b, shape), tolerance }] };
    },
  };
}

const matmuls: readonly KernelCase[] = [
  product('x·Wᵀ, 8 rows at a time, bf16', { m: 13, n: 24, k: 32, transposeB: true }, 'bf16'),
  product('dy·W, 4 rows at a time, bf16', { m: 3, n: 16, k: 24 }, 'bf16'),
  product('one row, bf16', { m: 1, n: 24, k: 40, transposeB: true }, 'bf16'),
  product('few rows, of an odd length, f32', { m: 3, n: 13, k: 37, transposeB: true }, 'f32'),
  product('dyᵀ·x, f32', { m: 16, n: 24, k: 9, transposeA: true }, 'f32'),
  product('odd sizes, f32', { m: 9, n: 7, k: 5, transposeB: true }, 'f32'),
  // What GPUs and SwiftShader get by size: more than one tile of 64, many of 128, and a long K of a few rows. Ends lie inside a tile.
  product('large, x·Wᵀ, bf16', { m: 72, n: 200, k: 40, transposeB: true }, 'bf16'),
  product('large, odd sizes, f32', { m: 67, n: 69, k: 35, transposeA: true }, 'f32'),
  product('very large, x·Wᵀ, bf16', { m: 68, n: 88, k: 24, batch: 64, transposeB: true }, 'bf16'),
  product('very large, dyᵀ·x, f32', { m: 68, n: 88, k: 17, batch: 64, transposeA: true }, 'f32'),
  product('long and thin, dyᵀ·x, f32', { m: 8, n: 72, k: 520, transposeA: true }, 'f32'),
  product('small, of a long K, x·Wᵀ, bf16', { m: 20, n: 72, k: 1032, transposeB: true }, 'bf16'),
  product('small, of a long and odd K, f32', { m: 17, n: 21, k: 1027, transposeA: true }, 'f32'),
  byMatrices('matrix64', { m: 72, n: 69, k: 40, transposeB: true }),
  byMatrices('matrix64', { m: 72, n: 72, k: 33, transposeA: true }),
  byMatrices('matrix128', { m: 136, n: 130, k: 40, transposeB: true }),
  byMatrices('matrix128', { m: 136, n: 136, k: 33, transposeA: true }),
  byMatrices('matrix64', { m: 72, n: 80, k: 40, transposeB: true }, 'bf16'),
  byMatrices('matrix128', { m: 136, n: 144, k: 40 }, 'bf16'),
  byMatrices('half64', { m: 72, n: 69, k: 40, transposeB: true }),
  byMatrices('half64', { m: 72, n: 80, k: 40 }, 'bf16'),
  byMatrices('half128', { m: 136, n: 136, k: 33, transposeA: true }),
  byMatrices('half128', { m: 136, n: 144, k: 72, transposeB: true }, 'bf16'),
  {
    kernel: 'matmul',
    what: 'one row, normalised first',
    make: (scratch, profile) => {
      const shape = { m: 1, n: 24, k: 520, transposeB: true };
      const norm = { eps: 1e-6, weightOffset: 1 };
      const [x, gain, b] = [noise(shape.k, 9), bf16(noise(shape.k, 10)), bf16(whole(shape.n * shape.k, 11))];
      const out = scratch.empty(shape.n);
      const calls = matmul(profile, {
        ...shape,
        a: scratch.put(x, 'f32'),
        b: scratch.put(b.bytes, 'bf16'),
        out,
        norm: { ...norm, weight: scratch.put(gain.bytes, 'bf16') },
      });
      const values = matmulReference(
        rmsNormReference(x, gain.values, { rows: 1, dim: shape.k, ...norm }),
        b.values,
        shape,
      );
      return { calls, expected: [{ name: 'out', operand: out, values, tolerance: 2e-6 }] };
    },
  },
  {
    kernel: 'matmul',
    what: 'x·Wᵀ, q8_0',
    make: (scratch, profile) => {
      const shape = { m: 9, n: 8, k: 64, transposeB: true };
      const a = whole(shape.m * shape.k, 3);
      const bytes = blocks('q8_0', (shape.n * shape.k) / 32);
      const out = scratch.empty(shape.m * shape.n);
      const calls = matmul(profile, { ...shape, a: scratch.put(a, 'f32'), b: scratch.put(bytes, 'q8_0'), out });
      const values = matmulReference(a, dequantiseReference('q8_0', bytes), shape);
      return { calls, expected: [{ name: 'out', operand: out, values, tolerance: 0 }] };
    },
  },
];

interface AttentionSizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly softcap: number;
  readonly window: number;
  readonly causal: boolean;
  readonly padding: number;
}

// Sizes that fill no tile, and go beyond one: 32 rows, 64 keys. Pipelines differ by the head dimension and the soft-cap.
const asGemma: AttentionSizes = {
  batch: 1,
  queries: 66,
  keys: 66,
  heads: 2,
  kvHeads: 1,
  headDim: 256,
  softcap: 0,
  window: 33,
  causal: true,
  padding: 2,
};
const capped: AttentionSizes = {
  ...asGemma,
  batch: 2,
  queries: 35,
  keys: 35,
  kvHeads: 2,
  headDim: 72,
  softcap: 2,
  window: 0,
  causal: false,
};
const large: AttentionSizes = { ...asGemma, queries: 35, keys: 35, headDim: 512, window: 0 };
const decoding: AttentionSizes = { ...asGemma, queries: 1, keys: 200, window: 0, padding: 0 };

function attentionInput(sizes: AttentionSizes) {
  const { batch, queries, keys, heads, kvHeads, headDim, causal, padding } = sizes;
  const kInfo = Int32Array.from({ length: batch * keys * 4 }, (_, i) => {
    const t = (i >> 2) % keys;
    return [t < keys - padding ? 1 : 0, causal ? t : 0, t, 0][i & 3]!;
  });
  const qInfo = new Int32Array(batch * queries * 4);
  for (let b = 0; b < batch; b++)
    qInfo.set(kInfo.subarray((b * keys + keys - queries) * 4, (b + 1) * keys * 4), b * queries * 4);
  const size = batch * keys * kvHeads * headDim;
  const q = noise(batch * queries * heads * headDim, 11);
  return { ...sizes, scale: 3 * headDim ** -0.5, q, k: noise(size, 12), v: noise(size, 13), qInfo, kInfo };
}

const forward = (what: string, sizes: AttentionSizes): KernelCase => ({
  kernel: 'attentionForward',
  what,
  make: (scratch, profile) => {
    const input = attentionInput(sizes);
    const expected = referenceAttention(input);
    const out = scratch.empty(input.q.length);
    const lse = scratch.empty(expected.lse.length);
    const bytes = attentionWorkspaceBytes(profile, input);
    const calls = attentionForward(profile, {
      ...input,
      q: scratch.put(input.q, 'f32'),
      k: scratch.put(input.k, 'f32'),
      v: scratch.put(input.v, 'f32'),
      qInfo: scratch.put(input.qInfo, 'i32'),
      kInfo: scratch.put(input.kInfo, 'i32'),
      out,
      lse,
      ...(bytes > 0 && { workspace: scratch.empty(bytes / 4) }),
    });
    return {
      calls,
      expected: [
        { name: 'out', operand: out, values: expected.out, tolerance: CLOSE },
        { name: 'lse', operand: lse, values: expected.lse, tolerance: CLOSE },
      ],
    };
  },
});

const backward = (what: string, sizes: AttentionSizes): KernelCase => ({
  kernel: 'attentionBackward',
  what,
  make: (scratch, profile) => {
    const input = attentionInput(sizes);
    // The forward pass is not what is looked at: its results are the float64 twin's.
    const { out, lse } = referenceAttention(input);
    const dOut = noise(input.q.length, 14);
    const { dq, dk, dv } = referenceAttentionBackward(input, dOut);
    const operands = {
      dq: scratch.empty(dq.length),
      dk: scratch.empty(dk.length),
      dv: scratch.empty(dv.length),
    };
    const shape = { ...input, tokens: input.queries };
    const calls = attentionBackward(profile, {
      ...shape,
      q: scratch.put(input.q, 'f32'),
      k: scratch.put(input.k, 'f32'),
      v: scratch.put(input.v, 'f32'),
      info: scratch.put(input.kInfo, 'i32'),
      out: scratch.put(Float32Array.from(out), 'f32'),
      lse: scratch.put(Float32Array.from(lse), 'f32'),
      dOut: scratch.put(dOut, 'f32'),
      workspace: scratch.empty(attentionBackwardWorkspaceBytes(profile, shape) / 4),
      ...operands,
    });
    return {
      calls,
      expected: Object.entries({ dq, dk, dv }).map(([name, values]) => ({
        name,
        operand: operands[name as 'dq'],
        values,
        tolerance: CLOSE,
      })),
    };
  },
});

const attentions: readonly KernelCase[] = [
  forward('head dimension 256, causal, window', asGemma),
  forward('head dimension 72, soft-cap', capped),
  forward('head dimension 512', large),
  forward('one query of many keys', decoding),
  backward('head dimension 256, causal, window', asGemma),
  backward('head dimension 72, soft-cap', capped),
  backward('head dimension 512', large),
];

/** Two chunks of classes, the last row ignored. */
function crossEntropyInput() {
  const [rows, classes, chunk, softcap] = [5, 80, 40, 3] as const;
  const logits = noise(rows * classes, 21).map((v) => v * 4);
  const targets = Int32Array.of(0, 39, 40, 79, -1);
  const dLoss = noise(rows, 22);
  const chunks = [0, chunk].map((start) => ({
    rows,
    softcap,
    chunkStart: start,
    chunkSize: chunk,
    rowStride: chunk,
    values: Float32Array.from({ length: rows * chunk }, (_, i) => {
      return logits[Math.floor(i / chunk) * classes + start + (i % chunk)]!;
    }),
  }));
  const reference = crossEntropyReference(logits, targets, dLoss, rows, classes, softcap);
  return { rows, classes, chunk, targets, dLoss, chunks, ...reference };
}

const crossEntropies: readonly KernelCase[] = [
  {
    kernel: 'crossEntropyChunkForward',
    what: 'two chunks of classes, soft-cap',
    make: (scratch, profile) => {
      const { rows, chunks, targets: ids, loss, lse, correct } = crossEntropyInput();
      const targets = scratch.put(ids, 'i32');
      const state = scratch.empty(rows * 4);
      const [lossOut, lseOut, correctOut] = [scratch.empty(rows), scratch.empty(rows), scratch.empty(rows)];
      const calls = chunks.flatMap(({ values, ...chunk }, i) =>
        crossEntropyChunkForward(profile, {
          ...chunk,
          logits: scratch.put(values, 'f32'),
          targets,
          state,
          first: i === 0,
        }),
      );
      calls.push(
        ...crossEntropyFinish(profile, { state, targets, loss: lossOut, lse: lseOut, correct: correctOut, rows }),
      );
      return {
        calls,
        expected: [
          { name: 'loss', operand: lossOut, values: loss, tolerance: CLOSE },
          { name: 'lse', operand: lseOut, values: lse, tolerance: CLOSE },
          { name: 'correct', operand: correctOut, values: correct, tolerance: 0 },
        ],
      };
    },
  },
  {
    kernel: 'crossEntropyChunkBackward',
    what: 'the second of two chunks, soft-cap',
    make: (scratch, profile) => {
      const { rows, classes, chunk, chunks, targets, dLoss, lse, grad } = crossEntropyInput();
      const { values, ...second } = chunks[1]!;
      const logits = scratch.put(values, 'f32');
      const calls = crossEntropyChunkBackward(profile, {
        ...second,
        logits,
        targets: scratch.put(targets, 'i32'),
        lse: scratch.put(Float32Array.from(lse), 'f32'),
        dLoss: scratch.put(dLoss, 'f32'),
      });
      const expected = Float64Array.from({ length: rows * chunk }, (_, i) => {
        return grad[Math.floor(i / chunk) * classes + chunk + (i % chunk)]!;
      });
      return { calls, expected: [{ name: 'gradient', operand: logits, values: expected, tolerance: CLOSE }] };
    },
  },
];

const rows = { rows: 5, dim: 40, eps: 1e-6 };
const x = () => noise(rows.rows * rows.dim, 31);
const dOut = () => noise(rows.rows * rows.dim, 32);

const norms: readonly KernelCase[] = [
  {
    kernel: 'rmsNorm',
    what: 'bf16 weight + 1',
    make: (scratch, profile) => {
      const weight = bf16(noise(rows.dim, 33));
      const out = scratch.empty(x().length);
      const calls = rmsNorm(profile, {
        ...rows,
        x: scratch.put(x(), 'f32'),
        weight: scratch.put(weight.bytes, 'bf16'),
        weightOffset: 1,
        out,
      });
      const values = rmsNormReference(x(), weight.values, { ...rows, weightOffset: 1 });
      return { calls, expected: [{ name: 'out', operand: out, values, tolerance: CLOSE }] };
    },
  },
  {
    kernel: 'rmsNormBackward',
    what: 'gradients of the input and of the weight',
    make: (scratch, profile) => {
      const weight = bf16(noise(rows.dim, 33));
      const [dX, dWeight] = [scratch.empty(x().length), scratch.empty(rows.dim)];
      const inputs = { ...rows, x: scratch.put(x(), 'f32'), dOut: scratch.put(dOut(), 'f32') };
      const calls = [
        ...rmsNormBackward(profile, {
          ...inputs,
          weight: scratch.put(weight.bytes, 'bf16'),
          weightOffset: 1,
          dX,
        }),
        ...rmsNormWeightGrad(profile, { ...inputs, dWeight, workspace: scratch.empty(rows.rows) }),
      ];
      const expected = rmsNormBackwardReference(x(), weight.values, dOut(), { ...rows, weightOffset: 1 });
      return {
        calls,
        expected: [
          { name: 'dX', operand: dX, values: expected.dX, tolerance: CLOSE },
          { name: 'dWeight', operand: dWeight, values: expected.dWeight, tolerance: CLOSE },
        ],
      };
    },
  },
  {
    kernel: 'layerNorm',
    what: 'forward and backward',
    make: (scratch, profile) => {
      const [weight, bias] = [noise(rows.dim, 34), noise(rows.dim, 35)];
      const [out, dX] = [scratch.empty(x().length), scratch.empty(x().length)];
      const inputs = { ...rows, x: scratch.put(x(), 'f32'), weight: scratch.put(weight, 'f32') };
      const calls = [
        ...layerNorm(profile, { ...inputs, bias: scratch.put(bias, 'f32'), out }),
        ...layerNormBackward(profile, { ...inputs, dOut: scratch.put(dOut(), 'f32'), dX }),
      ];
      return {
        calls,
        expected: [
          { name: 'out', operand: out, values: layerNormReference(x(), weight, bias, rows), tolerance: CLOSE },
          {
            name: 'dX',
            operand: dX,
            values: layerNormBackwardReference(x(), weight, dOut(), rows).dX,
            tolerance: CLOSE,
          },
        ],
      };
    },
  },
  {
    kernel: 'softmax',
    what: 'rows',
    make: (scratch, profile) => {
      const out = scratch.empty(x().length);
      const calls = softmax(profile, { ...rows, x: scratch.put(x(), 'f32'), out });
      return {
        calls,
        expected: [{ name: 'out', operand: out, values: softmaxReference(x(), rows.rows, rows.dim), tolerance: CLOSE }],
      };
    },
  },
];

const reductions: readonly KernelCase[] = [
  ...(['sum', 'max'] as const).map(
    (op): KernelCase => ({
      kernel: 'reduce',
      what: op,
      make: (scratch, profile) => {
        const shape = { outer: 3, length: 37, inner: 5 };
        const values = whole(3 * 37 * 5, 41);
        const out = scratch.empty(15);
        const calls = reduce(profile, { ...shape, op, x: scratch.put(values, 'f32'), out });
        return {
          calls,
          expected: [{ name: 'out', operand: out, values: reduceReference(values, { ...shape, op }), tolerance: 0 }],
        };
      },
    }),
  ),
  {
    kernel: 'sumOfSquares',
    what: 'two tensors',
    make: (scratch, profile) => {
      const [a, b] = [whole(1500, 42), whole(10, 43)];
      const out = scratch.empty(1);
      const calls = sumOfSquares(profile, {
        xs: [a, b].map((v) => ({ x: scratch.put(v, 'f32'), n: v.length })),
        out,
        workspace: scratch.empty(sumOfSquaresWorkspaceElements([a.length, b.length])),
      });
      const total = [...a, ...b].reduce((sum, v) => sum + v * v, 0);
      return { calls, expected: [{ name: 'out', operand: out, values: [total], tolerance: 0 }] };
    },
  },
];

const conversions: readonly KernelCase[] = [
  ...quantDTypes.map(
    (from): KernelCase => ({
      kernel: 'dequantise',
      what: from,
      make: (scratch, profile) => {
        const bytes = blocks(from, 2);
        const values = dequantiseReference(from, bytes);
        const out = scratch.empty(values.length);
        const calls = dequantise(profile, { x: scratch.put(bytes, from), out, n: values.length, from });
        return { calls, expected: [{ name: 'out', operand: out, values, tolerance: 0 }] };
      },
    }),
  ),
  {
    kernel: 'convert',
    what: 'f32 to bf16 and back',
    make: (scratch, profile) => {
      const values = noise(64, 51);
      const [packed, back] = [scratch.empty(64, 'bf16'), scratch.empty(64)];
      const calls = [
        ...convert(profile, { x: scratch.put(values, 'f32'), out: packed, n: 64, from: 'f32', to: 'bf16' }),
        ...convert(profile, { x: packed, out: back, n: 64, from: 'bf16', to: 'f32' }),
      ];
      const bits = Uint16Array.from(values, (v) => packReference(v, 'bf16'));
      return {
        calls,
        expected: [
          { name: 'bits', operand: packed, values: bits, tolerance: 0 },
          { name: 'out', operand: back, values: bf16(values).values, tolerance: 0 },
        ],
      };
    },
  },
];

/** Optimisers beside AdamW: a parameter, its gradient and momentum, clipped. */
function updateInput(scratch: Scratch, hyper: readonly number[]) {
  const n = 40;
  const [param, grad, m] = [noise(n, 65), noise(n, 66), noise(n, 67)];
  const normSquared = grad.reduce((sum, v) => sum + v * v, 0);
  const scales = { learningRateScale: 0.5, weightDecayScale: 2 };
  return {
    n,
    values: { param: Float64Array.from(param), m: Float64Array.from(m) },
    grad,
    normSquared,
    scales: { rate: scales.learningRateScale, decay: scales.weightDecayScale },
    args: {
      ...scales,
      param: scratch.put(param, 'f32'),
      grad: scratch.put(grad, 'f32'),
      hyper: scratch.put(Float32Array.from(hyper), 'f32'),
      gradNormSquared: scratch.put(Float32Array.of(normSquared), 'f32'),
    },
    m: scratch.put(m, 'f32'),
  };
}

const updates: readonly KernelCase[] = [
  {
    kernel: 'sgd',
    what: 'one step with momentum, clipped',
    make: (scratch, profile) => {
      const hyper = [0.05, 0.9, 0.1, 1];
      const { n, values, grad, normSquared, scales, args, m } = updateInput(scratch, hyper);
      const expected = sgdReference(values, grad, hyper, normSquared, true, scales);
      return {
        calls: sgd(profile, { ...args, m, n, nesterov: true }),
        expected: [
          { name: 'param', operand: args.param, values: expected.param, tolerance: CLOSE },
          { name: 'm', operand: m, values: expected.m!, tolerance: CLOSE },
        ],
      };
    },
  },
  {
    kernel: 'lion',
    what: 'one step, clipped',
    make: (scratch, profile) => {
      const hyper = [0.05, 0.1, 0.01, 0.1, 1];
      const { n, values, grad, normSquared, scales, args, m } = updateInput(scratch, hyper);
      const expected = lionReference(values, grad, hyper, normSquared, scales);
      return {
        calls: lion(profile, { ...args, m, n }),
        expected: [
          { name: 'param', operand: args.param, values: expected.param, tolerance: CLOSE },
          { name: 'm', operand: m, values: expected.m, tolerance: CLOSE },
        ],
      };
    },
  },
  {
    kernel: 'adafactor',
    what: 'one step of a matrix, clipped',
    make: (scratch, profile) => {
      const hyper = [0.05, 0.3, 0.7, 1e-3, 1e-3, 1, 0.1, 1];
      const { values, grad, normSquared, scales, args } = updateInput(scratch, hyper);
      const shape = { batch: 1, rows: 8, columns: 5 };
      const [first, second] = [noise(8, 68).map((v) => v * v), noise(5, 69).map((v) => v * v)];
      const [row, col] = [scratch.put(first, 'f32'), scratch.put(second, 'f32')];
      const before = { param: values.param, first: Float64Array.from(first), second: Float64Array.from(second) };
      const expected = adafactorReference(before, grad, shape, hyper, normSquared, scales);
      return {
        calls: adafactor(profile, {
          ...args,
          moments: { ...shape, row, col },
          workspace: (bytes) => scratch.empty(bytes / 4),
        }),
        expected: [
          { name: 'param', operand: args.param, values: expected.param, tolerance: CLOSE },
          { name: 'row', operand: row, values: expected.first, tolerance: CLOSE },
          { name: 'col', operand: col, values: expected.second!, tolerance: CLOSE },
        ],
      };
    },
  },
];

const others: readonly KernelCase[] = [
  {
    kernel: 'adamw',
    what: 'one step, clipped',
    make: (scratch, profile) => {
      const n = 40;
      const start = [noise(n, 61), noise(n, 62).map((v) => v * 0.1), noise(n, 63).map((v) => v * v)] as const;
      const grad = noise(n, 64);
      const hyper = [1e-2, 0.9, 0.95, 1e-8, 0.1, 0.1, 0.05, 1, 1 - 0.9, 1 - 0.95];
      const normSquared = grad.reduce((sum, v) => sum + v * v, 0);
      const [param, m, v] = start.map((values) => scratch.put(values, 'f32')) as [
        Operand<GPUBuffer>,
        Operand<GPUBuffer>,
        Operand<GPUBuffer>,
      ];
      const calls = adamw(profile, {
        param,
        m,
        v,
        n,
        grad: scratch.put(grad, 'f32'),
        hyper: scratch.put(Float32Array.from(hyper), 'f32'),
        gradNormSquared: scratch.put(Float32Array.of(normSquared), 'f32'),
        weightDecayScale: 1,
      });
      const [p0, m0, v0] = start.map((values) => Float64Array.from(values)) as [
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      const expected = adamwReference({ param: p0, m: m0, v: v0 }, grad, hyper, normSquared, 1);
      return {
        calls,
        expected: [
          { name: 'param', operand: param, values: expected.param, tolerance: CLOSE },
          { name: 'm', operand: m, values: expected.m, tolerance: CLOSE },
          { name: 'v', operand: v, values: expected.v, tolerance: CLOSE },
        ],
      };
    },
  },
  {
    kernel: 'rope',
    what: 'far positions',
    make: (scratch, profile) => {
      const shape = { rows: 4, heads: 2, headDim: 16 };
      const values = noise(4 * 2 * 16, 71);
      const positions = [0, 1, 777, 8191];
      const out = scratch.empty(values.length);
      const calls = rope(profile, {
        ...shape,
        x: scratch.put(values, 'f32'),
        tokenInfo: scratch.put(Int32Array.from(positions.flatMap((p) => [1, p, p, 0])), 'i32'),
        out,
        theta: 10_000,
        scalingFactor: 1,
        rotatedPairs: 6,
        inverse: false,
      });
      const frequencies = ropeInverseFrequencies(16, 10_000, 1, 6);
      const expected = ropeReference(values, positions, frequencies, { ...shape, inverse: false });
      return { calls, expected: [{ name: 'out', operand: out, values: expected, tolerance: CLOSE }] };
    },
  },
  {
    kernel: 'geglu',
    what: 'forward and backward',
    make: (scratch, profile) => {
      const n = 64;
      const [gate, up, dy] = [noise(n, 81).map((v) => v * 3), noise(n, 82), noise(n, 83)] as const;
      const [out, dGate, dUp] = [scratch.empty(n), scratch.empty(n), scratch.empty(n)];
      const inputs = { gate: scratch.put(gate, 'f32'), up: scratch.put(up, 'f32'), n };
      const calls = [
        ...geglu(profile, { ...inputs, out }),
        ...gegluBackward(profile, { ...inputs, dOut: scratch.put(dy, 'f32'), dGate, dUp }),
      ];
      const gradients = gegluBackwardReference(gate, up, dy);
      return {
        calls,
        expected: [
          { name: 'out', operand: out, values: gegluReference(gate, up), tolerance: CLOSE },
          { name: 'dGate', operand: dGate, values: gradients.dGate, tolerance: CLOSE },
          { name: 'dUp', operand: dUp, values: gradients.dUp, tolerance: CLOSE },
        ],
      };
    },
  },
  {
    kernel: 'embeddingGather',
    what: 'bf16 table',
    make: (scratch, profile) => {
      const shape = { dim: 24, vocab: 7, scale: 2 };
      const table = bf16(noise(7 * 24, 91));
      const ids = Int32Array.of(6, 0, 3, 3);
      const out = scratch.empty(4 * 24);
      const calls = embeddingGather(profile, {
        ...shape,
        rows: 4,
        table: scratch.put(table.bytes, 'bf16'),
        ids: scratch.put(ids, 'i32'),
        out,
      });
      const values = embeddingGatherReference(table.values, ids, shape);
      return { calls, expected: [{ name: 'out', operand: out, values, tolerance: 0 }] };
    },
  },
  {
    kernel: 'elementwise',
    what: 'a fused chain with a broadcast',
    make: (scratch, profile) => {
      const [a, b] = [noise(6 * 8, 101), noise(8, 102)];
      const out = scratch.empty(a.length);
      const calls = elementwise(profile, {
        shape: [6, 8],
        inputs: [
          { operand: scratch.put(a, 'f32'), strides: [8, 1] },
          { operand: scratch.put(b, 'f32'), strides: [0, 1] },
        ],
        steps: [
          { op: 'mul', args: [0, 1] },
          { op: 'tanh', args: [2] },
          { op: 'add', args: [3, 0] },
        ],
        outputs: [{ operand: out, value: 4 }],
      });
      const values = Float64Array.from(a, (v, i) => Math.tanh(v * b[i % 8]!) + v);
      return { calls, expected: [{ name: 'out', operand: out, values, tolerance: CLOSE }] };
    },
  },
  {
    kernel: 'stridedCopy',
    what: 'transposing',
    make: (scratch, profile) => {
      const values = noise(5 * 12, 111);
      const out = scratch.empty(values.length);
      const calls = stridedCopy(profile, {
        x: scratch.put(values, 'f32'),
        out,
        shape: [12, 5],
        inStrides: [1, 12],
        inOffset: 0,
        outStrides: [5, 1],
        outOffset: 0,
      });
      const expected = Float32Array.from({ length: 60 }, (_, i) => values[(i % 5) * 12 + Math.floor(i / 5)]!);
      return { calls, expected: [{ name: 'out', operand: out, values: expected, tolerance: 0 }] };
    },
  },
];

/** Every kernel that has variants, and one case of the others that a training step runs. */
export const kernelCases: readonly KernelCase[] = [
  ...matmuls,
  ...attentions,
  ...crossEntropies,
  ...norms,
  ...reductions,
  ...conversions,
  ...updates,
  ...others,
];
