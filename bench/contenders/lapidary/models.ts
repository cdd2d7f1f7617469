import type { Gpu } from '@lapidary/gpu';
import {
  adamw,
  add,
  attention,
  compile,
  constant,
  embedding,
  gelu,
  gradients,
  linearCrossEntropy,
  matmul,
  mean,
  mul,
  reshape,
  rmsNorm,
  square,
  sub,
  Variable,
  variableFrom,
  type HostTensor,
  type Tensor,
  type Traced,
} from '@lapidary/tensor';
import type { Op, Task } from '../protocol.js';
import { hashed, tokenIds } from '../values.js';

/** Training steps made of tensors, through @lapidary/tensor. */
export const modelOps = (gpu: Gpu): Record<string, Op> => {
  const weight = (shape: number[], seed: number, scale: number) =>
    variableFrom(
      gpu,
      hashed(
        shape.reduce((a, b) => a * b, 1),
        seed,
        scale,
      ),
      shape,
      { category: 'trainable' },
    );

  /** A step that is run again and again, its losses kept. */
  function stepTask(
    step: (inputs: Record<string, Tensor>) => Traced<{ loss: Tensor }>,
    inputs: (step: number) => Record<string, HostTensor>,
    variables: readonly Variable[],
  ): Task {
    const run = compile(gpu, step);
    const losses: number[] = [];
    return {
      async run() {
        const result = await run(inputs(losses.length + 1));
        losses.push((await result.read('loss'))[0]!);
      },
      result: async () => losses,
      drop() {
        run.destroy();
        for (const variable of variables) variable.destroy();
      },
    };
  }

  return {
    async mlpStep(params) {
      const { batch, width, inner } = params as { batch: number; width: number; inner: number };
      const w1 = weight([width, inner], 1, 0.0625);
      const w2 = weight([inner, width], 2, 0.0625);
      const x = weight([batch, width], 3, 1);
      const y = weight([batch, width], 4, 1);
      return stepTask(
        () => {
          const loss = mean(square(sub(matmul(gelu(matmul(x.tensor, w1.tensor)), w2.tensor), y.tensor)));
          const grads = gradients(loss, [w1.tensor, w2.tensor]);
          const updates = [w1, w2].map((w, i) => ({ variable: w, value: sub(w.tensor, mul(grads[i]!, 0.01)) }));
          return { outputs: { loss }, updates };
        },
        () => ({}),
        [w1, w2, x, y],
      );
    },

    async languageModelStep(params) {
      const { layers, width, heads, inner, words, tokens, batch } = params as Record<
        'layers' | 'width' | 'heads' | 'inner' | 'words' | 'tokens' | 'batch',
        number
      >;
      const scale = 0.0625;
      const ones = () => variableFrom(gpu, new Float32Array(width).fill(1), [width], { category: 'trainable' });
      const table = weight([words, width], 1000, scale);
      const blocks = Array.from({ length: layers }, (_, i) => ({
        norm1: ones(),
        norm2: ones(),
        wq: weight([width, width], i * 16 + 1, scale),
        wk: weight([width, width], i * 16 + 2, scale),
        wv: weight([width, width], i * 16 + 3, scale),
        wo: weight([width, width], i * 16 + 4, scale),
        w1: weight([width, inner], i * 16 + 5, scale),
        w2: weight([inner, width], i * 16 + 6, scale),
      }));
      const finalNorm = ones();
      const trained = [table, ...blocks.flatMap((block) => Object.values(block)), finalNorm];
      const state = trained.map(({ type }) =>
        (['m', 'v'] as const).map((name) => new Variable(name, type, 'optimizer').allocate(gpu)),
      ) as [Variable, Variable][];
      const norm = (h: Tensor, w: Variable) => rmsNorm(h, w.tensor, { eps: 1e-6 });
      const count = batch * tokens;

      return stepTask(
        ({ ids, targets, info, hyper }) => {
          let h = embedding(table.tensor, ids!);
          for (const b of blocks) {
            const n = norm(h, b.norm1);
            const split = (w: Variable) => reshape(matmul(n, w.tensor), [batch, tokens, heads, width / heads]);
            const rule = { scale: (width / heads) ** -0.5 };
            const attended = attention(split(b.wq), split(b.wk), split(b.wv), info!, info!, rule);
            h = add(h, matmul(reshape(attended, [count, width]), b.wo.tensor));
            h = add(h, matmul(gelu(matmul(norm(h, b.norm2), b.w1.tensor)), b.w2.tensor));
          }
          const loss = mean(linearCrossEntropy(norm(h, finalNorm), table.tensor, targets!).losses);
          const grads = gradients(
            loss,
            trained.map((w) => w.tensor),
          );
          const updates = trained.flatMap((param, i) => {
            const [m, v] = state[i]!;
            const [newParam, newM, newV] = adamw({
              param: param.tensor,
              grad: grads[i]!,
              m: m.tensor,
              v: v.tensor,
              hyper: hyper!,
              gradNormSquared: constant(0),
            });
            return [
              { variable: param, value: newParam },
              { variable: m, value: newM },
              { variable: v, value: newV },
            ];
          });
          return { outputs: { loss }, updates };
        },
        (step) => ({
          ids: { data: tokenIds(count, words), shape: [count] },
          targets: { data: tokenIds(count, words, 1), shape: [count] },
          info: {
            data: Int32Array.from(
              { length: count * 4 },
              (_, i) => [1, (i >> 2) % tokens, (i >> 2) % tokens, 0][i & 3]!,
            ),
            shape: [batch, tokens, 4],
          },
          hyper: {
            data: Float32Array.of(1e-3, 0.9, 0.999, 1e-8, 0, 1 - 0.9 ** step, 1 - 0.999 ** step, 0, 1 - 0.9, 1 - 0.999),
            shape: [10],
          },
        }),
        [...trained, ...state.flat()],
      );
    },
  };
};
