import type { Op, Task } from '../protocol.js';
import { tokenIds } from '../values.js';
import { arrays, type Arr } from './arrays.js';
import type { Jax } from './open-jax.js';

/** Adam in PyTorch's form, since @jax-js/optax is not on npm; compiled together with the gradient. */
export function adamTask(
  jax: Jax,
  {
    params,
    loss,
    inputs = [],
    frozen = [],
    rate = 1e-3,
  }: {
    /** Leaves that are trained. */
    params: Arr[];
    /** Of params, frozen and inputs, all of which it uses up. */
    loss: (params: Arr[], frozen: Arr[], inputs: Arr[]) => Arr;
    inputs?: Arr[];
    frozen?: Arr[];
    rate?: number;
  },
): Task {
  const { numpy: np, jit, valueAndGrad } = jax;
  const { dispose } = arrays(jax);
  const [beta1, beta2] = [0.9, 0.999];
  const compiled = jit((p: Arr[], m: Arr[], v: Arr[], correction: Arr, fixed: Arr[], data: Arr[]) => {
    const [value, grads] = valueAndGrad((leaves: Arr[], f: Arr[], d: Arr[]) => loss(leaves, f, d))(
      p.map((x) => x.ref),
      fixed,
      data,
    );
    const c1 = correction.ref.slice(0);
    const c2 = correction.slice(1);
    const newM = m.map((x, i) => x.mul(beta1).add(grads[i].ref.mul(1 - beta1)));
    const newV = v.map((x, i) => x.mul(beta2).add(np.square(grads[i]).mul(1 - beta2)));
    const newP = p.map((x, i) => {
      const step = newM[i].ref.div(c1.ref).div(np.sqrt(newV[i].ref.div(c2.ref)).add(1e-8));
      return x.sub(step.mul(rate));
    });
    c1.dispose();
    c2.dispose();
    return [value, newP, newM, newV];
  });
  let state = { p: params, m: params.map((x) => np.zeros(x.shape)), v: params.map((x) => np.zeros(x.shape)) };
  const losses: number[] = [];
  return {
    async run() {
      const t = losses.length + 1;
      const correction = np.array(Float32Array.of(1 - beta1 ** t, 1 - beta2 ** t));
      const refs = (list: Arr[]) => list.map((x) => x.ref);
      const [value, p, m, v] = compiled(state.p, state.m, state.v, correction, refs(frozen), refs(inputs));
      state = { p, m, v };
      losses.push((await value.data())[0]);
    },
    result: async () => losses,
    drop: () => [state, inputs, frozen].forEach(dispose),
  };
}

export const modelOps = (jax: Jax): Record<string, Op> => {
  const { numpy: np, nn, jit, valueAndGrad } = jax;
  const { array, dispose, rmsNorm } = arrays(jax);
  return {
    async mlpStep(params) {
      const { batch, width, inner } = params as { batch: number; width: number; inner: number };
      let p = { w1: array([width, inner], 1, 0.0625), w2: array([inner, width], 2, 0.0625) };
      const [x, y] = [array([batch, width], 3, 1), array([batch, width], 4, 1)];
      const loss = (w: Arr, a: Arr, b: Arr) => np.square(np.matmul(nn.gelu(np.matmul(a, w.w1)), w.w2).sub(b)).mean();
      const step = jit((w: Arr, a: Arr, b: Arr) => {
        const [value, g] = valueAndGrad(loss)({ w1: w.w1.ref, w2: w.w2.ref }, a, b);
        return [value, { w1: w.w1.sub(g.w1.mul(0.01)), w2: w.w2.sub(g.w2.mul(0.01)) }];
      });
      const losses: number[] = [];
      return {
        async run() {
          const [value, next] = step(p, x.ref, y.ref);
          p = next;
          losses.push((await value.data())[0]);
        },
        result: async () => losses,
        drop: () => [p, x, y].forEach(dispose),
      };
    },

    async languageModelStep(params) {
      const { layers, width, heads, inner, words, tokens, batch } = params as Record<
        'layers' | 'width' | 'heads' | 'inner' | 'words' | 'tokens' | 'batch',
        number
      >;
      const scale = 0.0625;
      const names = ['norm1', 'norm2', 'wq', 'wk', 'wv', 'wo', 'w1', 'w2'];
      const leaves: Arr[] = [array([words, width], 1000, scale)];
      for (let i = 0; i < layers; i++) {
        leaves.push(np.ones([width]), np.ones([width]));
        for (const slot of [1, 2, 3, 4]) leaves.push(array([width, width], i * 16 + slot, scale));
        leaves.push(array([width, inner], i * 16 + 5, scale), array([inner, width], i * 16 + 6, scale));
      }
      leaves.push(np.ones([width]));
      const loss = ([table, ...rest]: Arr[], _: Arr[], [ids, targets]: Arr[]) => {
        let h = np.matmul(nn.oneHot(ids, words), table.ref);
        for (let i = 0; i < layers; i++) {
          const b = Object.fromEntries(names.map((name, j) => [name, rest[i * names.length + j]]));
          const n = rmsNorm(h.ref, b.norm1);
          const split = (w: Arr) => np.matmul(n.ref, w).reshape([batch, tokens, heads, width / heads]);
          const [q, k, v] = [split(b.wq), split(b.wk), split(b.wv)];
          n.dispose();
          const attended = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([batch * tokens, width]);
          h = h.add(np.matmul(attended, b.wo));
          h = h.ref.add(np.matmul(nn.gelu(np.matmul(rmsNorm(h, b.norm2), b.w1)), b.w2));
        }
        const logits = np.matmul(rmsNorm(h, rest.at(-1)), np.transpose(table));
        return nn.logSoftmax(logits).mul(nn.oneHot(targets, words)).sum(-1).mean().mul(-1);
      };
      const count = batch * tokens;
      const inputs = [np.array(tokenIds(count, words)), np.array(tokenIds(count, words, 1))];
      return adamTask(jax, { params: leaves, loss, inputs });
    },
  };
};
