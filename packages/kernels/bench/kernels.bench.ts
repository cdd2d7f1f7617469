// Every kernel once, at the sizes of a training step of Gemma 3 270M over 512 tokens (fewer words, so that it ends soon).
//   npm run bench kernels                                                                       all
//   npx tsx --conditions=lapidary-source packages/kernels/bench/kernels.bench.ts matmul rope    those with such names
import { describeAdapter, openGpu } from '@lapidary/gpu';
import * as k from '@lapidary/kernels';
import { byteLength, workOf, type DType, type KernelCall, type Operand } from '@lapidary/kernels';
import { measure, prepare, prepareCopy } from './measure.js';

const gpu = await openGpu();
const { profile } = gpu;
const random = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898) * 0.1);

/** `n` values on the device; those of other types than f32 are zeros, which take as long. */
function values(n: number, dtype: DType = 'f32'): Operand<GPUBuffer> {
  const buffer = gpu.createBuffer(Math.ceil(byteLength(dtype, n) / 4) * 4, 'operand');
  if (dtype === 'f32') gpu.device.queue.writeBuffer(buffer, 0, random(n));
  return { buffer, offset: 0, dtype };
}

function integers(data: Int32Array<ArrayBuffer>): Operand<GPUBuffer> {
  const buffer = gpu.createBuffer(data.byteLength, 'operand');
  gpu.device.queue.writeBuffer(buffer, 0, data);
  return { buffer, offset: 0, dtype: 'i32' };
}

interface Case {
  readonly name: string;
  readonly calls: () => readonly KernelCall<GPUBuffer>[];
  /** Multiplications and additions that are needed, where the kernel counts more: what a mask hides. */
  readonly flops?: number;
}

const tokens = 512;
const [hidden, wide, heads, kvHeads, headDim, words] = [640, 2048, 4, 1, 256, 8192];
const n = tokens * hidden;
const info = () => integers(Int32Array.from({ length: tokens * 4 }, (_, i) => [1, i >> 2, i >> 2, 0][i & 3]!));
const ids = (below: number) => integers(Int32Array.from({ length: tokens }, (_, i) => (i * 7919) % below));

function linear(name: string, dtype: DType, rest: Partial<k.MatmulArgs<GPUBuffer>> = {}): Case {
  return {
    name: `matmul ${name}`,
    calls: () =>
      k.matmul(profile, {
        a: values(tokens * hidden),
        b: values(wide * hidden, dtype),
        out: values(tokens * wide),
        m: tokens,
        n: wide,
        k: hidden,
        transposeB: true,
        ...rest,
      }),
  };
}

const attentionSizes = { heads, kvHeads, headDim, scale: 1 / 16 };
const q = () => values(tokens * heads * headDim);
const kv = () => values(tokens * kvHeads * headDim);
const pairs = (tokens * (tokens + 1)) / 2;

/** Pairs of a query and a key at most 127 tokens before it. */
const windowPairs = (128 * 129) / 2 + (tokens - 128) * 128;

const attentions = (name: string, seen: number, rule: Partial<k.AttentionRule>): Case[] => [
  {
    name: `attention forward, ${name}`,
    flops: 4 * seen * heads * headDim,
    calls: () =>
      k.attentionForward(profile, {
        ...attentionSizes,
        ...rule,
        batch: 1,
        queries: tokens,
        keys: tokens,
        q: q(),
        k: kv(),
        v: kv(),
        qInfo: info(),
        kInfo: info(),
        out: q(),
        lse: values(heads * tokens),
      }),
  },
  {
    name: `attention backward, ${name}`,
    flops: 10 * seen * heads * headDim,
    calls: () =>
      k.attentionBackward(profile, {
        ...attentionSizes,
        ...rule,
        batch: 1,
        tokens,
        q: q(),
        k: kv(),
        v: kv(),
        info: info(),
        out: q(),
        lse: values(heads * tokens),
        dOut: q(),
        workspace: values(k.attentionBackwardWorkspaceBytes(profile, { ...attentionSizes, batch: 1, tokens }) / 4),
        dq: q(),
        dk: kv(),
        dv: kv(),
      }),
  },
];

const softcapped = { chunkStart: 0, chunkSize: words, rowStride: words, rows: tokens, softcap: 30 };
const rows = { rows: tokens, dim: hidden };
const normed = { ...rows, eps: 1e-6 };

/** What every optimiser reads beside its state; `hyper` small numbers, whatever they mean. */
const update = (hypers: number) => {
  const hyper = values(hypers);
  gpu.device.queue.writeBuffer(hyper.buffer, 0, new Float32Array(hypers).fill(1e-3));
  return {
    param: values(n),
    grad: values(n),
    hyper,
    gradNormSquared: values(1),
    learningRateScale: 1,
    weightDecayScale: 1,
  };
};

const cases: readonly Case[] = [
  linear('x·Wᵀ f32', 'f32'),
  linear('x·Wᵀ f16', 'f16'),
  linear('x·Wᵀ bf16', 'bf16'),
  ...k.quantDTypes.map((type) =>
    linear(
      `x·Wᵀ ${type}`,
      type, // Rows are whole blocks of 256 values.
      k.dtypeInfo[type].blockSize > 32 ? { k: 512 } : {},
    ),
  ),
  linear('x·Wᵀ + bias, GELU, + residual', 'f32', {
    bias: values(wide),
    activation: 'gelu',
    residual: values(tokens * wide),
  }),
  linear('dy·W (gradient of the input)', 'bf16', { transposeB: false, b: values(hidden * wide, 'bf16') }),
  linear('dyᵀ·x (gradient of the weight)', 'f32', {
    transposeA: true,
    transposeB: false,
    a: values(tokens * wide),
    b: values(tokens * hidden),
    out: values(wide * hidden),
    m: wide,
    n: hidden,
    k: tokens,
  }),
  linear('one row (decoding) bf16', 'bf16', { m: 1 }),
  {
    name: 'matmul, a batch of 8',
    calls: () =>
      k.matmul(profile, {
        a: values(8 * tokens * headDim),
        b: values(8 * tokens * headDim),
        out: values(8 * tokens * tokens),
        batch: 8,
        m: tokens,
        n: tokens,
        k: headDim,
        transposeB: true,
      }),
  },
  ...[
    { name: 'causal', pairs, rule: {} },
    { name: 'causal, window of 128', pairs: windowPairs, rule: { window: 128 } },
    { name: 'causal, soft-cap', pairs, rule: { softcap: 50 } },
  ].flatMap((attention) => attentions(attention.name, attention.pairs, attention.rule)),
  {
    name: 'rmsNorm',
    calls: () =>
      k.rmsNorm(profile, { ...normed, x: values(n), weight: values(hidden), out: values(n), weightOffset: 1 }),
  },
  {
    name: 'rmsNormBackward',
    calls: () =>
      k.rmsNormBackward(profile, {
        ...normed,
        x: values(n),
        weight: values(hidden),
        dOut: values(n),
        dX: values(n),
        weightOffset: 1,
      }),
  },
  {
    name: 'rmsNormWeightGrad',
    calls: () =>
      k.rmsNormWeightGrad(profile, {
        ...normed,
        x: values(n),
        dOut: values(n),
        dWeight: values(hidden),
        workspace: values(tokens),
      }),
  },
  {
    name: 'layerNorm',
    calls: () =>
      k.layerNorm(profile, { ...normed, x: values(n), weight: values(hidden), bias: values(hidden), out: values(n) }),
  },
  {
    name: 'layerNormBackward',
    calls: () =>
      k.layerNormBackward(profile, { ...normed, x: values(n), weight: values(hidden), dOut: values(n), dX: values(n) }),
  },
  {
    name: 'layerNormParamGrad',
    calls: () =>
      k.layerNormParamGrad(profile, {
        ...normed,
        x: values(n),
        dOut: values(n),
        dWeight: values(hidden),
        dBias: values(hidden),
        workspace: values(tokens * 2),
      }),
  },
  {
    name: 'rope',
    calls: () =>
      k.rope(profile, {
        x: q(),
        tokenInfo: info(),
        out: q(),
        rows: tokens,
        heads,
        headDim,
        theta: 1e6,
        scalingFactor: 1,
        rotatedPairs: headDim / 2,
        inverse: false,
      }),
  },
  {
    name: 'geglu',
    calls: () =>
      k.geglu(profile, {
        gate: values(tokens * wide),
        up: values(tokens * wide),
        out: values(tokens * wide),
        n: tokens * wide,
      }),
  },
  {
    name: 'gegluBackward',
    calls: () => {
      const [gate, up, dOut, dGate, dUp] = Array.from({ length: 5 }, () => values(tokens * wide)) as [
        Operand<GPUBuffer>,
        Operand<GPUBuffer>,
        Operand<GPUBuffer>,
        Operand<GPUBuffer>,
        Operand<GPUBuffer>,
      ];
      return k.gegluBackward(profile, { gate, up, dOut, dGate, dUp, n: tokens * wide });
    },
  },
  { name: 'softmax', calls: () => k.softmax(profile, { ...rows, x: values(n), out: values(n) }) },
  {
    name: 'softmaxBackward',
    calls: () => k.softmaxBackward(profile, { ...rows, y: values(n), dOut: values(n), dX: values(n) }),
  },
  {
    name: 'embeddingGather bf16',
    calls: () =>
      k.embeddingGather(profile, {
        ...rows,
        vocab: words,
        scale: 25,
        table: values(words * hidden, 'bf16'),
        ids: ids(words),
        out: values(n),
      }),
  },
  {
    name: 'embeddingScatterAdd',
    calls: () =>
      k.embeddingScatterAdd(profile, {
        ...rows,
        vocab: words,
        scale: 25,
        ids: ids(words),
        dOut: values(n),
        dTable: values(words * hidden),
      }),
  },
  {
    name: 'scatterRows',
    calls: () =>
      k.scatterRows(profile, {
        ids: ids(words),
        rows: values(n),
        out: values(words * hidden),
        count: tokens,
        dim: hidden,
        outRows: words,
      }),
  },
  {
    name: 'crossEntropyChunkForward',
    calls: () =>
      k.crossEntropyChunkForward(profile, {
        ...softcapped,
        logits: values(tokens * words),
        targets: ids(words),
        state: values(tokens * 4),
        first: true,
      }),
  },
  {
    name: 'crossEntropyChunkBackward',
    calls: () =>
      k.crossEntropyChunkBackward(profile, {
        ...softcapped,
        logits: values(tokens * words),
        targets: ids(words),
        lse: values(tokens),
        dLoss: values(tokens),
      }),
  },
  {
    name: 'crossEntropyFinish',
    calls: () =>
      k.crossEntropyFinish(profile, {
        state: values(tokens * 4),
        targets: ids(words),
        loss: values(tokens),
        lse: values(tokens),
        correct: values(tokens),
        rows: tokens,
      }),
  },
  ...(['sum', 'max', 'min'] as const).map((op) => ({
    name: `reduce rows, ${op}`,
    calls: () => k.reduce(profile, { outer: tokens, length: hidden, inner: 1, op, x: values(n), out: values(tokens) }),
  })),
  {
    name: 'reduce columns',
    calls: () =>
      k.reduce(profile, { outer: 1, length: tokens, inner: hidden, op: 'sum', x: values(n), out: values(hidden) }),
  },
  {
    name: 'sumOfSquares',
    calls: () =>
      k.sumOfSquares(profile, {
        xs: [{ x: values(n), n }],
        out: values(1),
        workspace: values(k.sumOfSquaresWorkspaceElements([n])),
      }),
  },
  {
    name: 'elementwise, 3 steps fused',
    calls: () =>
      k.elementwise(profile, {
        shape: [tokens, hidden],
        inputs: [
          { operand: values(n), strides: [hidden, 1] },
          { operand: values(hidden), strides: [0, 1] },
        ],
        steps: [
          { op: 'mul', args: [0, 1] },
          { op: 'tanh', args: [2] },
          { op: 'add', args: [3, 0] },
        ],
        outputs: [{ operand: values(n), value: 4 }],
      }),
  },
  {
    name: 'stridedCopy (transpose)',
    calls: () =>
      k.stridedCopy(profile, {
        x: values(n),
        out: values(n),
        shape: [hidden, tokens],
        inStrides: [1, hidden],
        inOffset: 0,
        outStrides: [tokens, 1],
        outOffset: 0,
      }),
  },
  { name: 'fill', calls: () => k.fill(profile, { out: values(n), n, value: 0 }) },
  ...(
    [
      ['f32', 'bf16'],
      ['bf16', 'f32'],
      ['f32', 'f16'],
      ['f16', 'f32'],
    ] as const
  ).map(([from, to]) => ({
    name: `convert ${from} → ${to}`,
    calls: () => k.convert(profile, { x: values(n, from), out: values(n, to), n, from, to }),
  })),
  ...k.quantDTypes.map((from) => ({
    name: `dequantise ${from}`,
    calls: () => k.dequantise(profile, { x: values(n, from), out: values(n), n, from }),
  })),
  {
    name: 'adamw',
    calls: () => {
      const state = () => values(n);
      const hyper = values(10);
      const numbers = Float32Array.of(1e-4, 0.9, 0.95, 1e-8, 0, 0.1, 0.05, 1, 0.1, 0.05);
      gpu.device.queue.writeBuffer(hyper.buffer, 0, numbers);
      return k.adamw(profile, {
        param: state(),
        grad: state(),
        m: state(),
        v: state(),
        hyper,
        gradNormSquared: values(1),
        n,
        weightDecayScale: 1,
      });
    },
  },
  ...[true, false].map((hasMomentum) => ({
    name: hasMomentum ? 'sgd, momentum' : 'sgd',
    calls: () => k.sgd(profile, { ...update(4), ...(hasMomentum && { m: values(n) }), n, nesterov: hasMomentum }),
  })),
  { name: 'lion', calls: () => k.lion(profile, { ...update(5), m: values(n), n }) },
  {
    name: 'adafactor',
    calls: () => {
      const [rows, columns] = [n / hidden, hidden];
      const moments = { batch: 1, rows, columns, row: values(rows), col: values(columns) };
      return k.adafactor(profile, { ...update(8), moments, workspace: (bytes) => values(bytes / 4) });
    },
  },
];

const wanted = process.argv.slice(2);
console.log(`${describeAdapter(profile.adapter)}; ${tokens} tokens of ${hidden}, feed-forward ${wide}, ${words} words`);
console.log(
  'GB/s: what is read and written, each byte once. × copy: time over that of a buffer copy that moves as many bytes, in the same run.\n',
);
console.log(
  `${'kernel'.padEnd(44)}${'variant'.padEnd(12)}${['ms', 'GFLOP/s', 'GB/s', '× copy'].map((h) => h.padStart(9)).join('')}`,
);
for (const { name, calls, flops: needed } of cases) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  const made = calls();
  const work = made.map((call) => workOf(call));
  const bytes = work.reduce((sum, one) => sum + one.bytes, 0);
  const flops = needed ?? work.reduce((sum, one) => sum + one.flops, 0);
  const [kernel, copy] = [await prepare(gpu, made), prepareCopy(gpu, Math.ceil(bytes / 8) * 4)];
  const [seconds, copied] = (await measure([kernel, copy])) as [number, number];
  const cells = [
    (seconds * 1e3).toFixed(3),
    flops === 0 ? '' : (flops / seconds / 1e9).toFixed(1),
    (bytes / seconds / 1e9).toFixed(2),
    (seconds / copied).toFixed(1),
  ];
  console.log(`${name.padEnd(44)}${made[0]!.variant.padEnd(12)}${cells.map((cell) => cell.padStart(9)).join('')}`);
  kernel.destroy();
  copy.destroy();
  for (const buffer of new Set(made.flatMap(({ bindings }) => bindings.map((b) => b.buffer))))
    gpu.destroyBuffer(buffer);
}
gpu.destroy();
