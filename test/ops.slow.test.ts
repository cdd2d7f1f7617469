// Every op of the tensor library, forward and backward, against PyTorch in double precision (test/fixtures/ops).
import { openGpu, type Gpu } from '@lapidary/gpu';
import * as T from '@lapidary/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from './support/relative-error.js';
import { fixtureJson, fixtureTensors, type FixtureTensor } from './support/safetensors-fixture.js';

interface Case {
  readonly name: string;
  readonly op: string;
  readonly attrs: Record<string, unknown>;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly grads: string[];
}

// biome-ignore lint/suspicious/noExplicitAny: attributes are whatever each fixture case says.
type Attr = any;
type Inputs = Record<string, T.Tensor>;
const { Tensor: _, ...ops } = T;
type Run = (inputs: Inputs, attrs: Record<string, Attr>, raw: Record<string, FixtureTensor>) => T.Tensor;
const unary =
  (fn: (x: T.Tensor) => T.Tensor): Run =>
  ({ x }) =>
    fn(x!);
const binary =
  (fn: (a: T.Tensor, b: T.Tensor) => T.Tensor): Run =>
  ({ a, b }) =>
    fn(a!, b!);

/** Mean (or whatever reduction) of the losses of targets that are not ignored. */
function lossOf(
  hidden: T.Tensor,
  weight: T.Tensor,
  targets: T.Tensor,
  attrs: Record<string, Attr>,
  raw: Record<string, FixtureTensor>,
): T.Tensor {
  const stored = ops.cast(weight, attrs.weight ?? 'f32');
  const options = { softcap: attrs.softcap ?? 0, labelSmoothing: attrs.labelSmoothing ?? 0 };
  const { losses } = ops.linearCrossEntropy(hidden, stored, targets, options);
  const count = [...raw.targets!.data].filter((t) => t >= 0).length;
  const reduction = attrs.reduction as string;
  if (reduction === 'none') return losses;
  return reduction === 'sum'
    ? ops.reshape(ops.sum(losses), [1])
    : ops.reshape(ops.mul(ops.sum(losses), 1 / count), [1]);
}

const table: Record<string, Run> = {
  matmul: ({ a, b }, { transposeA, transposeB }) => ops.matmul(a!, b!, { transposeA, transposeB }),
  linear: ({ x, w, bias, residual }, { activation, scale }) => {
    const y = ops.add(ops.mul(ops.matmul(x!, w!, { transposeB: true }), scale), bias!);
    const kind = activation as string;
    return ops.add(
      kind === 'gelu' ? ops.gelu(y) : kind === 'silu' ? ops.silu(y) : kind === 'relu' ? ops.relu(y) : y,
      residual!,
    );
  },
  rms_norm: ({ x, w }, attrs) => ops.rmsNorm(x!, w ?? null, attrs as unknown as T.RmsNormOptions),
  layer_norm: ({ x, w, b }, attrs) => ops.layerNorm(x!, w!, b!, attrs as unknown as { eps: number }),
  gelu: unary(ops.gelu),
  silu: unary(ops.silu),
  tanh: unary(ops.tanh),
  exp: unary(ops.exp),
  sigmoid: unary(ops.sigmoid),
  neg: unary(ops.neg),
  square: unary(ops.square),
  sin: unary(ops.sin),
  cos: unary(ops.cos),
  log: unary(ops.log),
  sqrt: unary(ops.sqrt),
  rsqrt: unary(ops.rsqrt),
  reciprocal: unary(ops.reciprocal),
  relu: unary(ops.relu),
  abs: unary(ops.abs),
  softmax: unary(ops.softmax),
  softcap: ({ x }, { cap }) => ops.mul(ops.tanh(ops.div(x!, cap)), cap),
  geglu: ({ gate, up }) => ops.geglu(gate!, up!),
  add: binary(ops.add),
  sub: binary(ops.sub),
  mul: binary(ops.mul),
  div: binary(ops.div),
  maximum: binary(ops.maximum),
  minimum: binary(ops.minimum),
  where: ({ cond, a, b }) => ops.where(cond!, a!, b!),
  log_softmax: ({ x }) => {
    const shifted = ops.sub(x!, ops.max(x!, -1, true));
    return ops.sub(shifted, ops.log(ops.sum(ops.exp(shifted), -1, true)));
  },
  linear_cross_entropy: ({ x, w, targets }, attrs, raw) => lossOf(x!, w!, targets!, attrs, raw),
  concat: (inputs, { axis }) => ops.concat(Object.values(inputs), axis),
  slice: ({ x }, attrs) => {
    const { starts, ends } = attrs as unknown as { starts: number[]; ends: number[] };
    return starts.reduce(
      (t, start, axis) => (start === 0 && ends[axis] === t.shape[axis] ? t : ops.slice(t, axis, start, ends[axis]!)),
      x!,
    );
  },
  permute: ({ x }, { axes }) => ops.transpose(x!, axes),
  reshape: ({ x }, { shape }) => ops.reshape(x!, shape),
  broadcast_to: ({ x }, { shape }) => ops.mul(x!, ops.constant(1, shape)),
  embedding: ({ table: t, ids }, { scale }) => ops.embedding(t!, ids!, { scale }),
  sum: ({ x }, { axes, keepDims }) => ops.sum(x!, axes ?? undefined, keepDims),
  mean: ({ x }, { axes, keepDims }) => ops.mean(x!, axes ?? undefined, keepDims),
  max: ({ x }, { axes, keepDims }) => ops.max(x!, axes ?? undefined, keepDims),
  min: ({ x }, { axes, keepDims }) => ops.min(x!, axes ?? undefined, keepDims),
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const leaf = ({ data, shape }: FixtureTensor): T.Tensor =>
  T.variableFrom(gpu, data, shape, { dtype: data instanceof Int32Array ? 'i32' : 'f32' }).tensor;

for (const family of [
  'matmul',
  'norm',
  'elementwise',
  'loss',
  'shape',
  'reduce',
  'rope',
  'attention',
  'label-smoothing',
]) {
  describe(`${family} as in PyTorch`, async () => {
    const found = await fixtureJson<Case[] | { cases: Case[] }>(`ops/${family}.json`);
    const cases = Array.isArray(found) ? found : found.cases;
    const tensors = await fixtureTensors(`ops/${family}.safetensors`);
    it.each(cases.map((c) => [c.name, c] as const))('%s', async (name, c) => {
      const raw = Object.fromEntries(c.inputs.map((i) => [i, tensors.get(`${name}/in/${i}`)!]));
      const inputs = Object.fromEntries(c.inputs.map((i) => [i, leaf(raw[i]!)]));
      const run = table[c.op] ?? special[c.op];
      expect(run, `no op for ${c.op}`).toBeDefined();
      const out = run!(inputs, c.attrs as Record<string, Attr>, raw);
      const expected = tensors.get(`${name}/out/${c.outputs[0]}`)!;
      expect(out.shape.reduce((a, b) => a * b, 1)).toBe(expected.data.length);
      const cotangent = tensors.get(`${name}/cotangent/${c.outputs[0]}`)!;
      const loss = ops.sum(ops.mul(ops.reshape(out, cotangent.shape), leaf(cotangent)));
      // Decoding (fewer queries than keys) has no gradient.
      // The fixtures let padded queries see keys, ours see nothing: only real queries are compared, and of the gradients only
      // that of q, which each query has to itself.
      const decoding = c.op === 'attention' && inputs.q!.shape[1] !== inputs.k!.shape[1];
      const differentiated = decoding ? [] : raw.padding ? ['q'] : c.grads;
      const real = (values: ArrayLike<number>) => withoutPadding(values, raw.padding?.data);
      const grads = T.gradients(
        loss,
        differentiated.map((g) => inputs[g]!),
      );
      const results = await T.evaluate(gpu, [out, ...grads.map((g) => g!)]);
      // Far positions: the fixture's angles are in double precision, ours are rounded to f32, as PyTorch's own f32 run does.
      const far = name === 'rope-far';
      expect(relativeError(real(results[0]!), real(expected.data))).toBeLessThan(far ? 1e-4 : 3e-6);
      differentiated.forEach((g, i) => {
        expect(
          relativeError(real(results[i + 1]!), real(tensors.get(`${name}/grad/${g}`)!.data)),
          `gradient of ${g}`,
        ).toBeLessThan(far ? 1e-4 : 1e-5);
      });
    });
  });
}

/** The values of tokens that are no padding, of a tensor [tokens, …]. */
function withoutPadding(values: ArrayLike<number>, padding: ArrayLike<number> | undefined): number[] {
  const width = values.length / (padding?.length ?? 1);
  return Array.from(values).filter((_v, i) => padding === undefined || padding[Math.floor(i / width)] !== 0);
}

/** Ops whose inputs need preparing. */
const special: Record<string, Run> = {
  // Logits given as they are: hidden = logits, weight = identity.
  cross_entropy: ({ logits, targets }, attrs, raw) => {
    const n = logits!.shape.at(-1)!;
    const eye = Float32Array.from({ length: n * n }, (_v, i) => Number(i % (n + 1) === 0));
    return lossOf(
      ops.reshape(logits!, [-1, n]),
      leaf({ data: eye, shape: [n, n] }),
      ops.reshape(targets!, [-1]),
      attrs,
      raw,
    );
  },
  attention: ({ q, k, v }, attrs, raw) => {
    const { scale, softcap, window, offset } = attrs as unknown as {
      scale: number;
      softcap: number | null;
      window: number | null;
      offset: number;
    };
    const [batch, queries] = q!.shape as [number, number];
    const keys = k!.shape[1]!;
    // (segment, block, position): a prefix is one block, everything after it a block of its own per token.
    const records = (first: number, count: number) =>
      leaf({
        shape: [batch, count, 4],
        data: Int32Array.from({ length: batch * count * 4 }, (_v, i) => {
          const b = Math.floor(i / 4 / count);
          const at = first + (Math.floor(i / 4) % count);
          const prefix = raw.prefix?.data[b] ?? 0;
          const segment = raw.padding?.data[b * keys + at] === 0 ? 0 : 1 + (raw.segments?.data[b * keys + at] ?? 0);
          return [segment, at < prefix ? 0 : at + 1, at, 0][i % 4]!;
        }),
      });
    const queryInfo = records(offset, queries);
    const keyInfo = offset === 0 && queries === keys ? queryInfo : records(0, keys);
    return ops.attention(q!, k!, v!, queryInfo, keyInfo, {
      scale,
      softcap: softcap ?? 0,
      window: window ?? 0,
    });
  },
  rope: ({ x }, { theta, factor, rotatedPairs }, raw) => {
    const positions = raw.positions!.data;
    const [batch, length] = x!.shape as [number, number];
    const info = Int32Array.from({ length: batch * length * 4 }, (_v, i) =>
      i % 4 === 2 ? positions[(i >> 2) % positions.length]! : 1,
    );
    return ops.rope(x!, leaf({ data: info, shape: [batch, length, 4] }), {
      theta,
      scalingFactor: factor,
      rotatedPairs,
    });
  },
};
