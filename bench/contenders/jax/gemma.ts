import { gemmaShape, gemmaWeights, LORA_SCALE, LORA_SLOTS, loraStart, type GemmaShape } from '../gemma-weights.js';
import type { Op } from '../protocol.js';
import { ropeTables, ropeTheta } from '../rope-tables.js';
import { hashed, sample, tokenIds } from '../values.js';
import { arrays, type Arr } from './arrays.js';
import { adamTask } from './models.js';
import type { Jax } from './open-jax.js';

type Lora = ReadonlyMap<number, readonly [Arr, Arr]>;

export const gemmaOps = (jax: Jax): Record<string, Op> => {
  const { numpy: np, nn, jit, valueAndGrad, blockUntilReady } = jax;
  const { dispose } = arrays(jax);
  /** Uses up x. */
  const norm = (x: Arr, weight: Arr) =>
    x.ref.mul(np.reciprocal(np.sqrt(np.mean(np.square(x), -1, { keepdims: true }).add(1e-6)))).mul(weight.ref.add(1));

  /** The stream after the last norm, [tokens, width]; uses up nothing. See contenders/torch/gemma.py. */
  function createHidden(shape: GemmaShape) {
    const { tokens, width, heads, kvHeads, headDim, words } = shape;
    const constants: Arr[] = [1e4, 1e6].flatMap((theta) => {
      const { cos, sin } = ropeTables(shape, theta);
      return [cos, sin].map((table) => np.array(table).reshape([tokens, 1, headDim]));
    });
    const rotate = (x: Arr, cos: Arr, sin: Arr) => {
      const [a, b] = np.split(x.ref, 2, -1);
      return x.mul(cos.ref).add(np.concatenate([b.mul(-1), a], -1).mul(sin.ref));
    };
    const hidden = (ws: readonly Arr[], ids: Arr, tables: readonly Arr[], lora?: Lora): Arr => {
      const linear = (x: Arr, index: number) => {
        const low = lora?.get(index);
        const y = np.matmul(x.ref, np.transpose(ws[index].ref));
        if (!low) return y;
        const inner = np.matmul(x.ref, np.transpose(low[0].ref));
        return y.add(np.matmul(inner, np.transpose(low[1].ref)).mul(LORA_SCALE));
      };
      const split = (x: Arr, count: number) => x.reshape([tokens, count, headDim]);
      let h = np.matmul(nn.oneHot(ids, words), ws[0].ref).mul(Math.sqrt(width));
      for (let layer = 0; layer < shape.layers; layer++) {
        const at = 1 + 13 * layer;
        const first = ropeTheta(shape, layer) === 1e4 ? 0 : 2;
        const turn = (x: Arr) => rotate(x, tables[first], tables[first + 1]);
        let x = norm(h.ref, ws[at]);
        const q = turn(norm(split(linear(x, at + 1), heads), ws[at + 5]));
        const k = turn(norm(split(linear(x, at + 2), kvHeads), ws[at + 6]));
        const v = split(linear(x, at + 3), kvHeads);
        x.dispose();
        const out = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([tokens, heads * headDim]);
        h = h.add(norm(linear(out, at + 4), ws[at + 7]));
        out.dispose();
        x = norm(h.ref, ws[at + 8]);
        const inner = nn.gelu(linear(x, at + 9)).mul(linear(x, at + 10));
        x.dispose();
        h = h.add(norm(linear(inner, at + 11), ws[at + 12]));
        inner.dispose();
      }
      return norm(h, ws.at(-1));
    };
    return { hidden, constants };
  }

  const load = (shape: GemmaShape): Arr[] =>
    gemmaWeights(shape).map(({ shape: size, values }) => np.array(values()).reshape(size));

  return {
    async gemmaBlock(params) {
      const shape = gemmaShape(params);
      const { tokens, width, words } = shape;
      const ws = load(shape);
      const { hidden, constants } = createHidden(shape);
      const fixed = [
        np.array(hashed(tokens * width, 77, 1)).reshape([tokens, width]),
        np.array(tokenIds(tokens, words)),
        ...constants,
        ws[0],
        ws.at(-1),
      ];
      const loss = (block: Arr[], [cotangent, ids, c1, s1, c2, s2, table, last]: Arr[]) => {
        const value = hidden([table, ...block, last], ids, [c1, s1, c2, s2])
          .mul(cotangent)
          .sum();
        dispose([block, c1, s1, c2, s2, table, last]);
        return value;
      };
      const compiled = jit((block: Arr[], rest: Arr[]) => valueAndGrad(loss)(block, rest));
      const block = ws.slice(1, 14);
      const call = () =>
        compiled(
          block.map((x) => x.ref),
          fixed.map((x) => x.ref),
        );
      return {
        async run() {
          const [value, grads] = call();
          await value.data();
          await blockUntilReady(grads);
          dispose(grads);
        },
        async result() {
          const [value, grads] = call();
          value.dispose();
          const parts: number[] = [];
          for (const grad of grads) {
            const part = sample(await grad.data());
            parts.push(...part.map((x) => x / part.at(-1)!));
          }
          return parts;
        },
        drop: () => dispose([block, fixed]),
      };
    },

    async gemmaStep(params) {
      const shape = gemmaShape(params);
      const rank = params.rank as number;
      const ws = load(shape);
      const { hidden, constants } = createHidden(shape);
      const count = ws.length;
      const places = ws.flatMap((_, index) =>
        rank > 0 && index > 0 && index < count - 1 && LORA_SLOTS.some((slot) => slot === (index - 1) % 13)
          ? [index]
          : [],
      );
      const low = places.flatMap((index) => {
        const [out, inputs] = ws[index].shape;
        return [np.array(loraStart(rank, inputs, index)).reshape([rank, inputs]), np.zeros([out, rank])];
      });
      const { tokens, words } = shape;
      const inputs = [np.array(tokenIds(tokens, words)), np.array(tokenIds(tokens, words, 1)), ...constants];
      const loss = (params_: Arr[], frozen: Arr[], [ids, targets, ...tables]: Arr[]) => {
        const weights = rank > 0 ? frozen : params_;
        const lora = new Map(places.map((index, i) => [index, [params_[2 * i], params_[2 * i + 1]] as const]));
        const logits = np.matmul(hidden(weights, ids, tables, lora), np.transpose(weights[0].ref));
        dispose([params_, frozen, tables]);
        return nn.logSoftmax(logits).mul(nn.oneHot(targets, words)).sum(-1).mean().mul(-1);
      };
      return adamTask(jax, { params: rank > 0 ? low : ws, frozen: rank > 0 ? ws : [], loss, inputs });
    },
  };
};
